"""How soon a webhook has its 200 while many come and the engine is slow, and what idle visitors cost."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections import Counter
from pathlib import Path

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.chaos.delivery import post
from benchmarks.chaos.rig import Rig, rig
from benchmarks.chaos.table import Row, Stopwatch
from service.storage.tables import inbox


async def ack(*, rate: int, seconds: float, engine_s: float, limits: bool = True) -> list[Row]:
    """Deliver at a steady rate while the engine takes its time.

    Args:
        rate: Webhooks a second, over all platforms, each of a person of their own.
        seconds: For how long.
        engine_s: Until the engine's first token.
        limits: Whether the times have goals; else only that each is taken.
    """
    watch = Stopwatch()
    async with rig() as one:
        one.engine.first_token_s = engine_s
        await one.begin(settings={"max_turns": 256, "max_unanswered": 100_000})
        apps = one.apps()
        chosen = [apps[number % len(apps)] for number in range(int(rate * seconds))]
        bodies = [(app, one.body(app, f"k{number:05d}x00")) for number, app in enumerate(chosen)]
        took: list[float] = []
        statuses: Counter[int] = Counter()

        async def call(at: float, number: int) -> None:
            app, body = bodies[number]
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            status, took_s = await post(kept, one.url, app, body)
            statuses[status] += 1
            took.append(took_s)

        # Platforms keep their connections.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as kept:
            began, busy = time.monotonic() + 0.5, _cpu_s(one)
            await asyncio.gather(*(call(began + number / rate, number) for number in range(len(bodies))))
        each_ms = 1000 * (_cpu_s(one) - busy) / len(bodies)
        stored = len(await one.rows(inbox))
        if not limits:
            await one.settled()
    took.sort()
    p50, p99, most = (1000 * took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 1.0))
    taken = statuses[200] == stored == len(bodies)
    result = f"{statuses[200]:,} x 200, {stored:,} stored; p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.0f} ms"
    result += f"; {each_ms:.1f} ms of the gateway's CPU each"
    goal = "all stored, p99 <= 100 ms, none over 1 s" if limits else "all stored and answered"
    met = taken and (not limits or (p99 <= 100 and most <= 1000))
    what = f"{rate} webhooks/s for {seconds:.0f} s, engine takes {engine_s:g} s"
    return [Row(what, len(bodies), goal, result, met, watch.seconds)]


async def idle(*, sockets: int, talkers: int, limits: bool = True) -> list[Row]:
    """Hold idle visitors open, and time the first token of active ones with and without them.

    Args:
        sockets: Idle ones.
        talkers: Turns that are timed, one after the other, each time.
        limits: Whether the times have goals.
    """
    watch = Stopwatch()
    async with rig() as one:
        one.engine.pace_s = 0.01
        await one.begin()
        await _first_words(one, talkers)
        alone = await _first_words(one, talkers)
        before = _resident_kib(one)
        held = [await _visitor(one) for _ in range(sockets)]
        await asyncio.sleep(1.0)
        each = (_resident_kib(one) - before) / sockets
        beside = await _first_words(one, talkers)
        await asyncio.gather(*(socket.close() for socket in held))
    ratio = _p95(beside) / _p95(alone)
    times = f"{1000 * _p95(alone):.1f} ms alone, {1000 * _p95(beside):.1f} ms beside them ({ratio:.2f} x)"
    result = f"{each:.1f} KiB each; p95 to the first word {times}"
    met = each <= 45 and (not limits or ratio <= 1.2)
    return [Row(f"{sockets:,} idle sockets", sockets, "<= 45 KiB each, <= 1.2 x", result, met, watch.seconds)]


async def slow_reader(*, seconds: float, readers: int, turns: int) -> list[Row]:
    """Let visitors who read a byte a second ask for long answers: the gateway's memory does not follow them.

    Args:
        seconds: Over which they read.
        readers: Visitors.
        turns: Long answers that each asks for, one after the other.
    """
    watch = Stopwatch()
    async with rig() as one:
        await one.begin(settings={"max_turns": 64})
        await _first_words(one, 5)
        before = _resident_kib(one)
        held = [await _visitor(one) for _ in range(readers)]
        for number, socket in enumerate(held):
            # Nobody reads from these sockets, so what comes fills the client's buffers, then the line, then ours.
            for turn in range(turns):
                await _ask(socket, f"k{number:05d}x{turn:02d}, in 300 parts")
        most, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.5)
            most = max(most, _resident_kib(one) - before)
        settled = await one.settled()
        await asyncio.gather(*(socket.close() for socket in held), return_exceptions=True)
    said = readers * turns * 300 * 200 / 1024
    result = f"{most / readers:.0f} KiB each at most ({said / readers:.0f} KiB of answers each)"
    return [Row(f"{readers} visitors who do not read", readers * turns, "<= 1 MiB each, all turns end", result,
                settled and most / readers <= 1024, watch.seconds)]  # fmt: skip


async def _visitor(one: Rig) -> ClientConnection:
    """An open socket of a new visitor, past the welcome."""
    url = one.url.replace("http", "ws") + "/ws/chat"
    socket = await connect(url, origin=Origin(one.url), compression=None, max_queue=1, ping_interval=None)
    key = one.config.brands["velmora"].widget.site_key
    await socket.send(json.dumps({"type": "hello", "site_key": key}))
    frame = json.loads(await socket.recv())
    if frame["type"] != "welcome":
        raise RuntimeError(f"No visitor is let in: {frame}")
    return socket


async def _ask(socket: ClientConnection, item: str) -> None:
    message = {"type": "message", "client_id": secrets.token_hex(8), "text": f"How long may I return item {item}?"}
    await socket.send(json.dumps(message))


async def _first_words(one: Rig, turns: int) -> list[float]:
    """Seconds to the first word of each turn, one after the other."""
    socket = await _visitor(one)
    found: list[float] = []
    for turn in range(turns):
        began, first = time.monotonic(), 0.0
        await _ask(socket, f"k00001x{turn % 100:02d}")
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] in ("token", "sentence") and not first:
                first = time.monotonic() - began
            if frame["type"] in ("reply", "failed"):
                break
        found.append(first)
    await socket.close()
    return found


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def _cpu_s(one: Rig) -> float:
    """Seconds of CPU that the gateway has had; other than times, they do not depend on what else runs here."""
    process = one.process
    assert process is not None
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_kib(one: Rig) -> int:
    process = one.process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
