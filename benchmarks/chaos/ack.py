"""How soon a webhook has its 200 while many come and the engine is slow, and what idle visitors cost."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.chaos.delivery import BUSY, App, post, taken
from benchmarks.chaos.rig import Rig, rig, until
from benchmarks.chaos.table import Row, Stopwatch
from benchmarks.gateway_under_test import BEGIN_S
from service.engines.process import free_port
from service.storage.tables import inbox


@dataclass(frozen=True, slots=True)
class _Acks:
    """What came back of many webhooks."""

    statuses: Counter[int]
    took_ms: Sequence[float]
    """Of each, the shortest first."""
    cpu_ms: float
    """Of the server, each."""

    def at(self, share: float) -> float:
        """The time within which this share has its answer."""
        return self.took_ms[min(len(self.took_ms) - 1, int(len(self.took_ms) * share))]

    def __str__(self) -> str:
        times = f"p50 {self.at(0.5):.1f} ms, p99 {self.at(0.99):.1f} ms, longest {self.at(1):.0f} ms"
        return f"{times}; {self.cpu_ms:.1f} ms of the server's CPU each"


async def ack(*, rate: int, seconds: float, engine_s: float, limits: bool = True) -> list[Row]:
    """Deliver at a steady rate while the engine takes its time; first to a bare route, which shows what is possible.

    Args:
        rate: Webhooks a second, over all platforms, each of a person of their own.
        seconds: For how long.
        engine_s: Until the engine's first token.
        limits: Whether the times have goals; else only that each is stored and answered.
    """
    watch = Stopwatch()
    async with rig() as one:
        apps = one.apps()
        chosen = [apps[number % len(apps)] for number in range(int(rate * seconds))]
        bodies = [(app, one.body(app, f"k{number:05d}x00")) for number, app in enumerate(chosen)]
        # The generator's own collections would be seen as late answers: 0.4 s of them in a run, else.
        gc.collect()
        gc.freeze()
        async with _bare_route() as (url, process):
            bare = await _delivered(url, process, bodies, rate)
        bare_s = watch.seconds
        one.engine.first_token_s = engine_s
        await one.begin(settings={"max_turns": 256, "max_unanswered": 100_000})
        assert one.process is not None
        acks = await _delivered(one.url, one.process.pid, bodies, rate, again=not limits)
        stored = len(await one.rows(inbox))
        gc.unfreeze()
        answered = limits or await one.settled()
    times = acks.at(0.5) / bare.at(0.5), acks.at(0.99) / bare.at(0.99)
    result = f"{acks.statuses[200]:,} x 200, {stored:,} stored; {acks}; p50 {times[0]:.1f} x, p99 {times[1]:.1f} x"
    goal = "all stored, p99 <= 100 ms, none over 1 s" if limits else "all stored and answered"
    in_time = not limits or (acks.at(0.99) <= 100 and acks.at(1) <= 1000)
    met = acks.statuses[200] == stored == len(bodies) and answered and in_time
    load = f"{rate} webhooks/s for {seconds:.0f} s"
    return [
        Row(f"{load}, a bare route that answers 200", len(bodies), "what this machine can", str(bare), None, bare_s),
        Row(f"{load}, engine takes {engine_s:g} s", len(bodies), goal, result, met, watch.seconds - bare_s),
    ]


async def _delivered(
    url: str, process: int | None, bodies: Sequence[tuple[App, bytes]], rate: int, *, again: bool = False
) -> _Acks:
    """Deliver at a steady rate, and `again` what was not taken at once."""
    took_ms: list[float] = []
    statuses: Counter[int] = Counter()

    async def call(at: float, app: App, body: bytes) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        status, took_s = await post(kept, url, app, body)
        if again and status in BUSY:
            status = await taken(kept, url, app, body)
        statuses[status] += 1
        took_ms.append(1000 * took_s)

    # Platforms keep their connections.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as kept:
        began, busy_s = time.monotonic() + 0.5, _cpu_s(process)
        await asyncio.gather(*(call(began + number / rate, *body) for number, body in enumerate(bodies)))
    return _Acks(statuses, sorted(took_ms), 1000 * (_cpu_s(process) - busy_s) / len(bodies))


@asynccontextmanager
async def _bare_route() -> AsyncIterator[tuple[str, int]]:
    """A server as the gateway's, which reads a body and answers 200: its address and its process."""
    port = free_port()
    command = ("-m", "uvicorn", "benchmarks.fake_engine:app", "--port", str(port), "--log-level", "warning")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, "--no-access-log")
    try:
        async with aiohttp.ClientSession() as session:
            await until(lambda: _answers(session, f"http://127.0.0.1:{port}/livez"), BEGIN_S)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        await process.wait()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


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
        # What answers of this length cost when they are read is no matter of those who do not.
        await asyncio.gather(*(_first_words(one, turns, ", in 300 parts") for _ in range(readers)))
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


async def _first_words(one: Rig, turns: int, wish: str = "") -> list[float]:
    """Seconds to the first word of each turn, one after the other, of a visitor who reads all."""
    socket = await _visitor(one)
    found: list[float] = []
    for turn in range(turns):
        began, first = time.monotonic(), 0.0
        await _ask(socket, f"k00001x{turn % 100:02d}{wish}")
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


def _cpu_s(process: int | None) -> float:
    """Seconds of CPU that a process has had; other than times, they do not depend on what else runs here."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_kib(one: Rig) -> int:
    process = one.process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
