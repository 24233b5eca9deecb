"""Kill -9 at seeded points while people write on every platform: nothing is lost, and nothing shows twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.chaos.delivery import Delivered
from benchmarks.chaos.points import MOST_PASSINGS, PLACES, Point
from benchmarks.chaos.rig import Rig, rig, until
from benchmarks.chaos.table import Row, Stopwatch
from benchmarks.fake_engine import MARK
from channels.registry import PLATFORMS
from service.storage.tables import inbox, outbox

LIFE_S = 4.0
"""Longest life: one that did not come to its point by then is killed where it is."""
PARTS: Mapping[str, int] = {
    "discord": 25, "instagram": 11, "line": 130, "messenger": 25, "slack": 45, "teams": 130, "telegram": 45,
    "twilio": 18, "whatsapp": 45,
}  # fmt: skip
"""Sentences of 200 characters that make a reply of two or three messages."""


GOAL = "0 lost, 0 doubled, unknowns counted"


@dataclass
class Tally:
    """What became of every message of one platform."""

    accepted: int = 0
    given_up: int = 0
    """Never taken: the platform stopped delivering while the gateway was away."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unknown: int = 0
    """Replies with a part of which nobody knows whether it arrived."""
    unknown_missing: int = 0
    """Of these, replies that the customer does not have whole."""


async def count(one: Rig, sent: Sequence[tuple[Delivered, int]]) -> dict[str, Tally]:
    """Hold what was delivered to us against what customers read.

    Args:
        one: After all has settled.
        sent: Each message with the sentences that its reply has.
    """
    shown = one.platforms.sentences()
    turn_of = {mark: row.turn_id for row in await one.rows(inbox) for mark in MARK.findall(row.text)}
    reply_of = {row.turn_id: row for row in await one.rows(outbox)}
    tallies: dict[str, Tally] = defaultdict(Tally)
    for message, parts in sent:
        tally = tallies[message.app.channel.name]
        if not (message.acked or message.mark in turn_of):
            tally.given_up += 1
            continue
        tally.accepted += 1
        counts = [shown[f"{message.mark}p{part:03d}"] for part in range(parts)]
        whole = min(counts) > 0
        if max(counts) > 1:
            tally.doubled.append(message.mark)
        reply = reply_of.get(turn_of.get(message.mark))
        if reply is not None and reply.state == "unknown":
            tally.unknown += 1
            tally.unknown_missing += not whole
        elif not whole:
            tally.lost.append(f"{message.mark}: {_told(reply, counts)}")
    return dict(tallies)


def _told(reply: Any, counts: Sequence[int]) -> str:
    """What is known of a reply that is not whole."""
    if reply is None:
        return "no reply"
    missing = [part for part, times in enumerate(counts) if not times]
    return f"{reply.state}, {len(missing)} of {len(counts)} sentences missing, {reply.last_error}, {reply.text[:40]!r}"


def rows(tallies: Mapping[str, Tally], what: str, seconds: float) -> list[Row]:
    """A line a platform."""
    found = []
    for name, tally in sorted(tallies.items()):
        result = (
            f"{len(tally.lost)} lost, {len(tally.doubled)} doubled, {tally.unknown} unknown "
            f"({tally.unknown_missing} of them not whole), {tally.given_up} never delivered"
            + "".join(f" [{one}]" for one in (*tally.lost, *tally.doubled)[:3])
        )
        met = tally.accepted > 0 and not tally.lost and not tally.doubled
        found.append(Row(f"{what}: {name}", tally.accepted, GOAL, result, met, seconds))
    return found


async def kill(*, seed: int, points: int, database: str | None = None) -> list[Row]:
    """Run the experiment.

    Args:
        seed: Of the points and of who asks for a long reply.
        points: Lives that end by kill -9.
        database: URL; SQLite where absent.

    Returns:
        A line a platform, and one that says where the gateway died how often.
    """
    drawn = random.Random(seed)  # noqa: S311 (repeatable, and no secret)
    watch = Stopwatch()
    async with rig(seed=seed, database=database) as one:
        log = one.life.home / "deaths.log"
        log.touch()
        # A hundred deaths in a row take longer than a customer may wait, and look as if a message did it: that is the
        # matter of other experiments.
        one.life = replace(one.life, settings={"max_wait_s": 86_400}, starts=points)
        apps, number = one.apps(), 0
        writing: list[tuple[asyncio.Task[Delivered], int]] = []
        elsewhere = 0
        for _ in range(points):
            kind, where = drawn.choice(PLACES)
            point = Point(kind, where, drawn.randint(1, MOST_PASSINGS), log)
            began = await one.begin(point)
            for app in apps if began else ():
                number += 1
                mark = f"k{number:05d}x00"
                parts = PARTS[app.channel.name] if drawn.random() < 0.4 else 1
                text = f"How long may I return item {mark}, in {parts} parts?" if parts > 1 else None
                writing.append((asyncio.create_task(one.deliver(app, mark, text)), parts))
            process = one.process
            assert process is not None
            longest = drawn.uniform(0.0, LIFE_S / 2) if kind == "anywhere" else LIFE_S
            if not await until(lambda alive=process.is_alive: not alive(), longest, 0.02):  # type: ignore[misc]
                elsewhere += 1
            await one.end()
        await one.begin()
        sent = [(await task, parts) for task, parts in writing]
        if not await one.settled():
            raise RuntimeError(f"Something is stuck: {await one.replies()}; {one.log_text()[-3000:]}")
        await one.end(kindly=True)
        tallies = await count(one, sent)
        deaths = Counter(line.strip() for line in log.read_text().splitlines())
    if elsewhere:
        deaths["from outside"] = elsewhere
    for name in PLATFORMS:
        tallies.setdefault(name, Tally())
    places = Row("where it died", points, "every place", ", ".join(f"{n} {where}" for where, n in deaths.most_common()),
                 len(deaths) >= min(points / 4, len(PLACES)), watch.seconds)  # fmt: skip
    return [*rows(tallies, f"kill -9 at {points} points", watch.seconds), places]
