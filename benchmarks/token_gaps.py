"""What 32 searches at once do to streams that are running: the gaps between their frames, before and during.

    python -m benchmarks.token_gaps [--rounds 10] [--out benchmarks/results/FILE.md]

Sixteen visitors read replies that the fake engine paces at 20 ms a token; in the middle of them 32 others ask at once,
each with a real search. "During" lasts until the last of the 32 has its first token. Ends with 1 where the goal is
missed. The knowledge bases must be there: `make demo ONCE=...` makes them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from datetime import date
from itertools import pairwise
from pathlib import Path

import aiohttp

from benchmarks.goals import Goal, at_most, goal_table
from benchmarks.serving import QUESTION, SITE_KEY_BRAND, Server, Widget, running
from configs.load import load_config
from service.engines.process import free_port

STREAMS, SEARCHES = 16, 32
REPLY_TOKENS = 150
CALM_S = (0.5, 1.5)
"""Since the streams began: what is measured before the 32 ask."""

Gaps = tuple[list[float], list[float]]
"""Milliseconds between frames, calm and during the searches."""


async def tokens_of(widget: Widget, question: str) -> list[float]:
    """Ask, and note the moment of each frame of tokens until the reply is whole."""
    moments: list[float] = []
    await widget.turn(moments, of="token", question=question)
    return moments


async def one_round(readers: list[Widget], askers: list[Widget]) -> Gaps:
    """The gaps of one set of replies."""
    since = time.monotonic()
    reading = [asyncio.create_task(tokens_of(widget, QUESTION)) for widget in readers]
    await asyncio.sleep(CALM_S[1])
    asked = time.monotonic()
    # Each asks something else, so that nothing but the search itself can serve it.
    asking = [tokens_of(widget, f"{QUESTION} My order is number {at}.") for at, widget in enumerate(askers)]
    answered = await asyncio.gather(*asking)
    begun = max(moments[0] for moments in answered)
    gaps = [gap for task in reading for gap in pairwise(await task)]
    calm = [(b - a) * 1000 for a, b in gaps if since + CALM_S[0] < b <= asked]
    during = [(b - a) * 1000 for a, b in gaps if asked < b <= begun]
    return calm, during


async def measure(server: Server, site_key: str, rounds: int) -> Gaps:
    """The gaps of all rounds; one round goes before and is not counted."""
    calm: list[float] = []
    during: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, AsyncExitStack() as stack:
        widgets = [
            await stack.enter_async_context(Widget(session, server.url, site_key)) for _ in range(STREAMS + SEARCHES)
        ]
        for number in range(rounds + 1):
            found = await one_round(widgets[:STREAMS], widgets[STREAMS:])
            if number:
                calm += found[0]
                during += found[1]
    return calm, during


def report(gaps: Gaps, wanted: Goal, rounds: int) -> str:
    """The figures as Markdown."""
    rows = ["| | gaps | median, ms | p95, ms | longest, ms |", "|---|---|---|---|---|"]
    for name, found in zip(("calm", f"while {SEARCHES} search"), gaps, strict=True):
        p95 = statistics.quantiles(found, n=20)[-1]
        rows.append(f"| {name} | {len(found)} | {statistics.median(found):.1f} | {p95:.1f} | {max(found):.1f} |")
    lines = [*rows, "", *goal_table([wanted])]
    return (
        f"# Gaps between frames, {date.today().isoformat()}\n\n`python -m benchmarks.token_gaps --rounds {rounds}` on "
        f"{os.cpu_count()} cores ({platform.machine()}), clients and engine on the same; {STREAMS} streams of 20 ms a "
        "token, shown 25 times a second.\n\n" + "\n".join(lines) + "\n"
    )


def main() -> int:
    """Start engine and gateway, measure, print, keep; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    site_key = load_config(Path("configs"), {}).brands[SITE_KEY_BRAND].widget.site_key
    with ExitStack() as stack:
        engine_url, url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        engine = [sys.executable, "-m", "uvicorn", "benchmarks.fake_engine:app", "--log-level", "error"]
        engine += ["--no-access-log", "--port", engine_url.rpartition(":")[2]]
        pace = {"FAKE_PACE_MS": "20", "FAKE_TOKENS": str(REPLY_TOKENS)}
        stack.enter_context(running("engine", engine, engine_url, "/health", pace))
        gateway = [sys.executable, "-m", "benchmarks.gateway_under_test", "--engine", engine_url]
        gateway += ["--port", url.rpartition(":")[2], "--check", "off", "--retrieval", "real"]
        server = stack.enter_context(running("gateway", gateway, url, "/livez", {}))
        gaps = asyncio.run(measure(server, site_key, arguments.rounds))
    wider = statistics.fmean(gaps[1]) / statistics.fmean(gaps[0])
    wanted = at_most(f"mean gap while {SEARCHES} search, of the calm one", 1.25, wider)
    text = report(gaps, wanted, arguments.rounds)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return int(not wanted.met)


if __name__ == "__main__":
    sys.exit(main())
