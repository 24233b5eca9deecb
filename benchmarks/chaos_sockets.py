"""Cuts a widget's connection at random bytes, and the server in the middle, and looks whether anything is lost.

    python -m benchmarks.chaos_sockets [--cuts 500] [--kills 5] [--seed 1]

A visitor does what the widget does: it keeps what it says until the server has confirmed it, says one thing after the
other, comes back with the last turn that it has whole, and puts what it gets to what it has. Between it and the gateway
stands a line that breaks after a random number of bytes, in either direction. The gateway is also ended and started
anew on the same port. Ends with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.fake_engine import Engine
from benchmarks.gateway_under_test import WIDE, Gateway, Life, configured
from benchmarks.goals import Goal, at_most, goal_table
from service.engines.process import free_port

BRAND = "velmora"
QUESTION = "How long do I have to return an unopened item, if this is number {}?"
SHORTEST, LONGEST = 50, 6000
"""Bytes after which the line breaks."""
AGAIN_S = 0.05
PATIENCE_S = 30.0


@dataclass
class Line:
    """A TCP line to a port that breaks on purpose while `cutting`."""

    target: int
    chance: random.Random
    cutting: bool = True
    cuts: int = 0
    up: int = 0
    """Bytes to the server."""
    down: int = 0
    port: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        left = [self.chance.randint(SHORTEST, LONGEST)]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(4096):
                    if self.cutting:
                        data, left[0] = data[: left[0]], left[0] - len(data)
                    self.up, self.down = self.up + up * len(data), self.down + (not up) * len(data)
                    sink.write(data)
                    await sink.drain()
                    if self.cutting and left[0] <= 0:
                        self.cuts += 1
                        break
            # As a cable that is pulled: no close frame, no orderly end.
            for one in (writer, far_writer):
                one.transport.abort()

        await asyncio.gather(pump(reader, far_writer, up=True), pump(far_reader, writer, up=False))


@dataclass
class Visitor:
    """The widget's rules, in Python."""

    url: Callable[[], str]
    site_key: str
    turns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is on the screen, in order."""
    unconfirmed: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    doubled: int = 0
    """Sentences or tokens that came twice within one turn."""
    resumed: int = 0
    welcomes: int = 0
    welcomed: bool = False
    """On this line."""

    def say(self, text: str) -> None:
        """Keep a message until it is confirmed."""
        self.unconfirmed.append((uuid.uuid4().hex, text))
        self.said.append(self.unconfirmed[-1][0])

    @property
    def after(self) -> str | None:
        """The last turn that is here to its end, with all before it."""
        last = None
        for turn in self.turns.values():
            if turn["state"] not in ("done", "failed"):
                break
            last = str(turn["turn"])
        return last

    @property
    def settled(self) -> bool:
        """Whether all that was said is answered, on the screen."""
        over = [turn for turn in self.turns.values() if turn["state"] in ("done", "failed")]
        answered = {one for turn in over for one in turn["client_ids"]}
        return len(over) == len(self.turns) and answered.issuperset(self.said)

    async def live(self, session: aiohttp.ClientSession, until: Callable[[], bool]) -> None:
        """Connect, and again after each cut, until something holds."""
        while not until():
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, _Cut):
                async with asyncio.timeout(5), session.ws_connect(f"{self.url()}/ws/chat", heartbeat=None) as socket:
                    hello = {"type": "hello", "site_key": self.site_key, "after": self.after, **self.known}
                    await socket.send_json(hello)
                    self.welcomed = False
                    await self._follow(socket, until)
            await asyncio.sleep(AGAIN_S)

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, until: Callable[[], bool]) -> None:
        speaking = asyncio.create_task(self._speak(socket))
        try:
            while not until():
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise _Cut
                frame = message.json()
                if frame["type"] == "error":
                    raise AssertionError(frame)
                self._take(frame)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _speak(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """One message after the other, each once on a line."""
        sent = None
        while True:
            if self.unconfirmed and self.welcomed and sent != self.unconfirmed[0][0]:
                sent, text = self.unconfirmed[0]
                await socket.send_json({"type": "message", "client_id": sent, "text": text})
            await asyncio.sleep(0.005)

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "welcome":
                self._welcome(frame)
            case "accepted":
                self._confirmed([frame["client_id"]])
            case "turn":
                self._confirmed(frame["client_ids"])
                self.turns.setdefault(frame["turn"], _fresh(frame["turn"])).update(
                    client_ids=frame["client_ids"], question=frame["question"]
                )
            case "status" if (turn := self.turns.get(frame["turn"])) and frame["state"] in ("queued", "delayed"):
                turn.update(written="", sentences={})
            case "token" if (turn := self.turns.get(frame["turn"])) and turn["state"] == "running":
                turn["written"] += frame["text"]
            case "sentence" if (turn := self.turns.get(frame["turn"])) and turn["state"] == "running":
                self.doubled += frame["index"] in turn["sentences"] and not turn["snapshot"]
                turn["sentences"][frame["index"]] = frame["text"]
            case "reply" if turn := self.turns.get(frame["turn"]):
                if turn["state"] == "running" and turn["written"].strip() not in ("", frame["text"].strip()):
                    self.doubled += 1
                turn.update(state="done", text=frame["text"])
            case "failed" if turn := self.turns.get(frame["turn"]):
                turn.update(state="failed", text=frame["error"]["message"])

    def _welcome(self, frame: dict[str, Any]) -> None:
        self.welcomes += 1
        self.welcomed = True
        self.known = {name: frame[name] for name in ("visitor", "conversation")}
        kept: dict[str, dict[str, Any]] = {}
        if frame["resumed"]:
            self.resumed += 1
            for name, turn in self.turns.items():
                if turn["state"] not in ("done", "failed"):
                    break
                kept[name] = turn
        for turn in frame["turns"]:
            if not turn["turn"]:
                self._confirmed(turn["client_ids"])
                continue
            text = turn["text"] if turn["state"] != "failed" else turn["error"]["message"]
            kept[turn["turn"]] = _fresh(turn["turn"]) | {
                "state": turn["state"],
                "question": turn["question"],
                "client_ids": turn["client_ids"],
                "text": text,
                "written": turn["text"] if turn["state"] == "running" else "",
                "sentences": {one["index"]: one["text"] for one in turn["sentences"]},
                "snapshot": True,
            }
            self._confirmed(turn["client_ids"])
        self.turns = kept

    def _confirmed(self, client_ids: list[str]) -> None:
        self.unconfirmed = [one for one in self.unconfirmed if one[0] not in client_ids]


class _Cut(Exception):
    """The line broke."""


def _fresh(turn: str) -> dict[str, Any]:
    return {
        "turn": turn,
        "state": "running",
        "question": "",
        "client_ids": [],
        "text": "",
        "written": "",
        "sentences": {},
        "snapshot": False,
    }


@dataclass(frozen=True)
class Found:
    """What a run showed."""

    said: int
    cuts: int
    kills: int
    missing: int
    """Messages or answers that are not on the screen."""
    doubled: int
    """Messages in more than one turn, turns or pieces that stand there twice."""
    differs: int
    """Turns on the screen that are not as the server has them, or in another order."""
    resumed: int
    welcomes: int
    bytes_down: int
    seconds: float


async def storm(
    line: Line, visitor: Visitor, *, cuts: int, gap_s: float, at_cut: Callable[[int], Any] = lambda _: None
) -> int:
    """Say things while the line breaks, until it has broken that often; returns how many were said."""
    said = 0
    async with aiohttp.ClientSession() as session:

        async def speak() -> None:
            nonlocal said
            while line.cuts < cuts:
                if visitor.settled or not said:
                    said += 1
                    visitor.say(QUESTION.format(said))
                await asyncio.sleep(gap_s)

        speaking = asyncio.create_task(speak())
        watching = asyncio.create_task(_watch(line, cuts, at_cut))
        await visitor.live(session, lambda: line.cuts >= cuts and speaking.done())
        await asyncio.gather(speaking, watching)
        line.cutting = False
        async with asyncio.timeout(PATIENCE_S):
            await visitor.live(session, lambda: visitor.settled)
    return said


async def _watch(line: Line, cuts: int, at_cut: Callable[[int], Any]) -> None:
    seen = 0
    while line.cuts < cuts:
        while seen < line.cuts:
            seen += 1
            if (work := at_cut(seen)) is not None:
                await work
        await asyncio.sleep(0.01)


async def compare(visitor: Visitor, said: int) -> tuple[int, int, int]:
    """Missing, doubled, different: the screen beside what a fresh page gets."""
    fresh = Visitor(visitor.url, visitor.site_key, known=dict(visitor.known))
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
        await fresh.live(session, lambda: fresh.welcomes > 0)
    screen, stored = list(visitor.turns.values()), list(fresh.turns.values())
    words = [line for turn in screen for line in turn["question"].split("\n")]
    counted = Counter(words)
    missing = sum(QUESTION.format(number) not in counted for number in range(1, said + 1))
    missing += sum(not turn["text"] for turn in screen)
    doubled = visitor.doubled + sum(count - 1 for count in counted.values())
    shown = [(turn["turn"], turn["question"], turn["state"], turn["text"]) for turn in screen]
    # A fresh page gets the last hundred turns.
    kept = [(turn["turn"], turn["question"], turn["state"], turn["text"]) for turn in stored]
    differs = sum(mine != theirs for mine, theirs in zip_longest(shown[-len(kept) :], kept))
    return missing, doubled, differs


async def run(cuts: int, kills: int, seed: int, home: Path, check: str) -> Found:
    """One storm."""
    since = time.monotonic()
    engine = Engine(tokens=40, pace_s=0.005)
    await engine.start()
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/chaos.db"
        life = Life(home, free_port(), engine.url, database, check=check, encoder="real", settings=WIDE)
        site_key = configured(life).brands[BRAND].widget.site_key
        line = Line(life.port, random.Random(seed))  # noqa: S311 - chaos, not a secret
        moments = {(number + 1) * cuts // (kills + 1): number for number in range(kills)}
        async with aiohttp.ClientSession() as session, line.open():
            gateway = Gateway(life, session, Path(folder) / "gateway.log")

            async def at_cut(number: int) -> None:
                if number in moments:
                    # By turns as a crash and as an operator does it.
                    await gateway.end(kindly=moments[number] % 2 == 1)
                    await gateway.begin()

            try:
                await gateway.begin()
                visitor = Visitor(lambda: f"http://127.0.0.1:{line.port}", site_key)
                said = await storm(line, visitor, cuts=cuts, gap_s=0.02, at_cut=at_cut)
                missing, doubled, differs = await compare(visitor, said)
            finally:
                await gateway.end()
                await engine.stop()
    seconds = time.monotonic() - since
    return Found(
        said, line.cuts, kills, missing, doubled, differs, visitor.resumed, visitor.welcomes, line.down, seconds
    )


def goals(found: Found) -> list[Goal]:
    """What must hold."""
    return [
        at_most("messages or answers missing", 0, found.missing),
        at_most("messages, turns or pieces doubled", 0, found.doubled),
        at_most("turns that differ from the server's", 0, found.differs),
    ]


def report(found: Found) -> str:
    """As Markdown."""
    each = found.bytes_down / max(found.welcomes, 1)
    return (
        f"# A line that breaks, {date.today().isoformat()}\n\n"
        f"`python -m benchmarks.chaos_sockets` on {os.cpu_count()} cores ({platform.machine()}), {found.seconds:.0f} s:"
        f" {found.said} messages of one visitor,\nover a line that broke {found.cuts} times, each after {SHORTEST} to "
        f"{LONGEST} bytes, either way, and {found.kills} ends of the gateway, by kill -9 and\nby SIGTERM in turn. Of "
        f"{found.welcomes} welcomes {found.resumed} held only what came after; {each:.0f} bytes a connection.\n\n"
        + "\n".join(goal_table(goals(found)))
        + "\n"
    )


def main() -> int:
    """Run, print, and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, default="var")
    parser.add_argument("--check", choices=("before", "off"), default="off")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = asyncio.run(run(arguments.cuts, arguments.kills, arguments.seed, arguments.home.resolve(), arguments.check))
    text = report(found)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return int(not all(one.met for one in goals(found)))


if __name__ == "__main__":
    sys.exit(main())
