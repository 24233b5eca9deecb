"""From a visitor's "stop" to the engine that sees its reader gone, so that it makes no more tokens.

    python -m benchmarks.stops [--stops 100] [--out benchmarks/results/FILE.md]

One visitor at a time, alone and beside sixteen who read replies of 20 ms a token. Ends with 1 where the goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.fake_engine import Engine, Receive, Scope, Send
from benchmarks.goals import Goal, at_most, goal_table
from benchmarks.serving import QUESTION, SITE_KEY_BRAND, Widget, running
from configs.load import load_config
from service.engines.process import free_port

READERS = 16
REPLY_TOKENS = 1500
"""Half a minute: no reply ends by itself before it is stopped."""
WRITES_S = 0.2
"""How long an answer is written before it is stopped."""


@dataclass
class Watched(Engine):
    """An engine that notes when readers go away."""

    gone: list[float] = field(default_factory=list)
    """The moments (CLOCK_MONOTONIC)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an engine does, until its reader is gone."""
        body = await receive()
        given = [body]

        async def heard() -> dict[str, Any]:
            return given.pop() if given else await receive()

        answering = asyncio.create_task(super().__call__(scope, heard, send))
        if body.get("more_body"):
            return await answering
        going = asyncio.ensure_future(receive())
        await asyncio.wait((answering, going), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.gone.append(time.monotonic())
        for task in (answering, going):
            task.cancel()
        await asyncio.gather(answering, going, return_exceptions=True)
        return None


async def stop_one(widget: Widget, engine: Watched, number: int) -> float:
    """Ask, let it write, stop; milliseconds until the engine saw it."""
    question = f"{QUESTION} My order is number {number}."
    await widget.socket.send_json({"type": "message", "client_id": f"stop-{number:06d}", "text": question})
    turn = None
    while turn is None:
        frame = await widget.socket.receive_json()
        turn = frame["turn"] if frame["type"] in ("token", "sentence") else None
    await asyncio.sleep(WRITES_S)
    engine.gone.clear()
    since = time.monotonic()
    await widget.socket.send_json({"type": "stop", "turn": turn})
    while (frame := await widget.socket.receive_json())["type"] != "reply":
        pass
    while not engine.gone:  # noqa: ASYNC110 - the engine is asked nothing, so that it is not disturbed
        await asyncio.sleep(0.001)
    return (engine.gone[0] - since) * 1000


async def reading(widget: Widget) -> None:
    """Read replies without end."""
    while True:
        await widget.turn()


async def measure(url: str, engine: Watched, site_key: str, stops: int) -> dict[str, list[float]]:
    """Milliseconds of every stop."""
    found: dict[str, list[float]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, AsyncExitStack() as stack:
        widget = await stack.enter_async_context(Widget(session, url, site_key))
        await stop_one(widget, engine, 0)
        found["alone"] = [await stop_one(widget, engine, number) for number in range(1, stops + 1)]
        readers = [await stack.enter_async_context(Widget(session, url, site_key)) for _ in range(READERS)]
        tasks = [asyncio.create_task(reading(one)) for one in readers]
        await asyncio.sleep(1)
        beside = [await stop_one(widget, engine, stops + number) for number in range(1, stops + 1)]
        found[f"beside {READERS} who read"] = beside
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


def report(found: dict[str, list[float]], goals: list[Goal]) -> str:
    """The figures as Markdown."""
    rows = ["| | stops | median, ms | p95, ms | longest, ms |", "|---|---|---|---|---|"]
    for name, times in found.items():
        p95 = statistics.quantiles(times, n=20)[-1]
        rows.append(f"| {name} | {len(times)} | {statistics.median(times):.1f} | {p95:.1f} | {max(times):.1f} |")
    stops = len(next(iter(found.values())))
    return (
        f"# From a stop to the engine, {date.today().isoformat()}\n\n`python -m benchmarks.stops --stops {stops}` on "
        f"{os.cpu_count()} cores ({platform.machine()}), clients and engine on the same.\n\n"
        + "\n".join([*rows, "", *goal_table(goals)])
        + "\n"
    )


async def experiment(stops: int) -> dict[str, list[float]]:
    """Start engine and gateway, and measure."""
    site_key = load_config(Path("configs"), {}).brands[SITE_KEY_BRAND].widget.site_key
    engine = Watched(tokens=REPLY_TOKENS, pace_s=0.02)
    await engine.start()
    url = f"http://127.0.0.1:{free_port()}"
    gateway = [sys.executable, "-m", "benchmarks.gateway_under_test", "--engine", engine.url]
    gateway += ["--port", url.rpartition(":")[2], "--check", "off", "--retrieval", "stub"]
    starting = running("gateway", gateway, url, "/livez", {})
    await asyncio.to_thread(starting.__enter__)
    try:
        return await measure(url, engine, site_key, stops)
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
        await engine.stop()


def main() -> int:
    """Measure, print, keep; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = asyncio.run(experiment(arguments.stops))
    goals = [at_most(f"longest stop, {name}, ms", 100, max(times)) for name, times in found.items()]
    text = report(found, goals)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return int(not all(goal.met for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
