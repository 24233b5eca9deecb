"""Platforms that take a send and drop the answer: what may be made again is, what may not is counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from benchmarks.chaos.kill import PARTS, count, rows
from benchmarks.chaos.rig import rig
from benchmarks.chaos.table import Row, Stopwatch

DROPS = 0.1


async def lossy(*, seed: int, people: int, drops: float = DROPS) -> list[Row]:
    """Let people write on every platform while one answer in ten is dropped.

    Args:
        seed: Of what is dropped.
        people: A platform; every third gets a reply of several messages.
        drops: Share of sends whose answer is dropped.
    """
    watch = Stopwatch()
    async with rig(seed=seed, drops=drops) as one:
        await one.begin()
        writing = []
        for at, app in enumerate(one.apps()):
            for person in range(people):
                mark = f"k{at * 10_000 + person:05d}x00"
                parts = PARTS[app.channel.name] if person % 3 == 0 else 1
                text = f"How long may I return item {mark}, in {parts} parts?" if parts > 1 else None
                writing.append((asyncio.create_task(one.deliver(app, mark, text)), parts))
        sent = [(await task, parts) for task, parts in writing]
        # What is dropped again and again is tried again by a schedule of hours.
        if not await one.settled(300):
            raise RuntimeError(f"Something is stuck: {await one.replies()}; {one.log_text()[-3000:]}")
        tallies = await count(one, sent)
        dropped = one.platforms.dropped
    found = rows(tallies, f"{drops:.0%} of answers dropped", watch.seconds)
    return [
        replace(row, result=f"{dropped[name]} dropped: {row.result}", met=row.met and dropped[name] > 0)
        for row, name in zip(found, sorted(tallies), strict=True)
    ]
