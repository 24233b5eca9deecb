"""What goes wrong around us and what customers see of it: database, disk, engine, busy platforms, clocks, poison."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.chaos.delivery import App, Delivered, post
from benchmarks.chaos.forgeries import STAMP, Target
from benchmarks.chaos.points import DEADLY, Point
from benchmarks.chaos.rig import Rig, rig, until
from benchmarks.chaos.table import Row, Stopwatch
from service.engines.process import free_port
from service.turns import lanes

NO_CLOCK = frozenset({"instagram", "line", "messenger", "telegram", "twilio", "whatsapp"})
"""Platforms whose requests carry no time that is checked."""


async def database_locked(*, gone_s: float, people: int) -> list[Row]:
    """Hold SQLite's file so that nobody else can write, while people go on writing to us.

    Args:
        gone_s: For how long.
        people: A platform that delivers again; they write one after the other over the whole time.
    """
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        holder = sqlite3.connect(one.life.home / "brandvoice.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        writing = await _write(one, people, gone_s)
        holder.execute("ROLLBACK")
        holder.close()
        return [await _judged(one, f"SQLite held by another process for {gone_s:.0f} s", writing, watch)]


async def database_gone(*, gone_s: float, people: int) -> list[Row]:
    """Cut off PostgreSQL, while people go on writing to us; nothing where it is not installed."""
    watch = Stopwatch()
    if importlib.util.find_spec("benchmarks.postgres") is None:
        return []
    postgres = importlib.import_module("benchmarks.postgres")
    with postgres.server() as url:
        address = urlsplit(url)
        async with _Line(address.port or 0) as line:
            through = url.replace(f":{address.port}/", f":{line.port}/")
            async with rig(database=through) as one:
                await one.begin()
                await line.cut()
                writing = await _write(one, people, gone_s)
                await line.mend()
                return [await _judged(one, f"PostgreSQL gone for {gone_s:.0f} s", writing, watch)]


async def disk_full(*, people: int) -> list[Row]:
    """Let no file of the gateway grow any further, then let them.

    Args:
        people: A platform that delivers again.
    """
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        await one.end(kindly=True)
        # The database may grow by a few messages, then a write fails as on a full disk.
        full = max(file.stat().st_size for file in one.life.home.glob("brandvoice.db*")) + 60_000
        await one.begin(max_file_bytes=full)
        writing = await _write(one, people, 8.0)
        refused = await until(lambda: any(503 in done.statuses for done, _ in _ended(writing)), 10)
        process = one.process
        assert process is not None
        assert process.pid is not None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        row = await _judged(one, "disk full", writing, watch, must_refuse=True)
        return [row] if refused else [Row(row.what, row.n, row.goal, "the disk never was full", False, row.seconds)]


async def engine_dead(*, dead_s: float, faster: float, people: int) -> list[Row]:
    """Take the engine away, while people go on writing to us.

    Args:
        dead_s: For how long, by the gateway's waits.
        faster: By how much these are shortened.
        people: A platform.
    """
    watch = Stopwatch()
    async with rig(faster=faster) as one:
        await one.begin()
        await one.engine.stop()
        writing = await _write(one, people, dead_s / faster)
        await one.engine.start()
        back = time.monotonic()
        sent = [(await task, mark) for task, mark in writing]
        settled = await one.settled()
        recovered_s = time.monotonic() - back
        words = one.config.brands["velmora"].words.unavailable.split()[0]
        shown = one.platforms.shown
        told = sum(words in shown_one.text for shown_one in shown)
        answers = len(one.platforms.sentences())
        # A message after the engine is back is answered at once.
        (app,) = [app for app in one.apps() if app.channel.name == "slack"]
        began = time.monotonic()
        await one.deliver(app, "k99999x00")
        again = await until(lambda: one.platforms.sentences()["k99999x00p000"] == 1, 30, 0.05)
        after_s = time.monotonic() - began
    accepted = sum(done.acked for done, _ in sent)
    result = (
        f"{answers} answered, {told} told so in the brand's words, {accepted - answers - told} in silence; "
        f"all settled {recovered_s:.1f} s after it is back, the next message answered in {after_s:.1f} s"
    )
    met = settled and again and accepted > 0 and answers + told == accepted
    what = f"engine dead for {dead_s:.0f} s (time {faster:.0f} times as fast)"
    return [Row(what, accepted, "nobody in silence, nothing stuck", result, met, watch.seconds)]


async def busy_platform(*, retry_after_s: float) -> list[Row]:
    """Let every platform answer its first send with 429: none is sent sooner than it says, none is lost."""
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        apps = one.apps()
        headers = {"retry-after": f"{retry_after_s:g}", "content-type": "application/json"}
        for app in apps:
            one.platforms.refuse_next(app.channel.name, (429, headers, b"{}"))
        await asyncio.gather(*(one.deliver(app, f"k{at:05d}x00") for at, app in enumerate(apps)))
        await one.settled()
        early = [name for name, wait_s in _waits(one).items() if wait_s < retry_after_s]
        shown = one.platforms.sentences()
        arrived = sum(shown[f"k{at:05d}x00p000"] == 1 for at in range(len(apps)))
        longest = max(_waits(one).values())
    result = f"{arrived} of {len(apps)} arrived once, {len(early)} too soon, at most {longest:.1f} s later"
    what = f"429 with Retry-After {retry_after_s:g} on every platform"
    return [Row(what, len(apps), "none sooner, none lost", result, arrived == len(apps) and not early, watch.seconds)]


async def clock_off(*, off_s: float) -> list[Row]:
    """Let platforms and us disagree on the time: who signs a time is refused, the others notice nothing."""
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        settings = {(kind, name): app for kind, name, app in one.config.service.apps.each()}
        statuses: dict[str, Counter[int]] = {}
        apps = one.apps()
        for at, app in enumerate(apps):
            for way, sign in enumerate((-1, 1)):
                body = one.body(app, f"k{at:05d}x{way:02d}")
                off = Target(app, body, settings[app.channel.name, app.name]).built(off_s=sign * off_s)
                status, _ = await post(one.session, one.url, App(app.name, off, app.account), body)
                statuses.setdefault(app.channel.name, Counter())[status] += 1
        await one.settled()
        refused = sorted(name for name, seen in statuses.items() if seen[401])
        taken = sorted(name for name, seen in statuses.items() if seen[200] == 2)
        # The clock is right again.
        for at, app in enumerate(apps):
            await one.deliver(app, f"k{at:05d}x09")
        await one.settled()
        shown = one.platforms.sentences()
        back = sum(shown[f"k{at:05d}x09p000"] == 1 for at in range(len(apps)))
    result = f"refused with 401: {', '.join(refused)}; taken by {len(taken)}; right again, {back} of {len(apps)} answer"
    met = set(STAMP) <= set(refused) and set(taken) >= NO_CLOCK and back == len(apps)
    what = f"clock {off_s / 60:.0f} minutes off, either way"
    return [Row(what, 2 * len(apps), "signed times refused, no 5xx, nothing stuck", result, met, watch.seconds)]


async def poison() -> list[Row]:
    """Send a message over which the turn breaks: its person hears of it, and nobody else notices."""
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        apps = one.apps()
        for at, app in enumerate(apps):
            await one.deliver(app, f"k{at:05d}x00", f"How long may I return item k{at:05d}x00 of poison?")
        await one.settled()
        for at, app in enumerate(apps):
            await one.deliver(app, f"k{at:05d}x01")
        settled = await one.settled()
        shown, texts = one.platforms.sentences(), [one_shown.text for one_shown in one.platforms.shown]
        ours = one.config.brands["velmora"].words.unavailable.split()[0]
        told = sum(ours in text for text in texts)
        inside = [text for text in texts if "Error" in text or "gateway" in text]
        after = sum(shown[f"k{at:05d}x01p000"] == 1 for at in range(len(apps)))
    result = (
        f"{told} told in the brand's words, {len(inside)} shown our insides, "
        f"{after} of {len(apps)} next messages in the same lane answered"
    )
    met = settled and told == after == len(apps) and not inside
    return [Row("poison message", len(apps), "told of, no lane blocked", result, met, watch.seconds)]


async def deadly(*, beside: int) -> list[Row]:
    """Send a message over which the process dies again and again: its person hears of it, and all others are answered.

    Args:
        beside: People whose messages are being answered whenever it dies.
    """
    watch = Stopwatch()
    async with rig() as one:
        (app,) = [app for app in one.apps() if app.channel.name == "slack"]
        log = one.life.home / "deaths.log"
        point = Point("in generation", DEADLY, 1, log)
        one.engine.first_token_s = 0.2
        await one.begin(point)
        process = one.process
        texts = [f"How long may I return item k00000x00, {DEADLY}?", *[None] * beside]
        writing = [asyncio.create_task(one.deliver(app, f"k{at:05d}x00", text)) for at, text in enumerate(texts)]
        for _ in range(lanes.STARTS + 1):
            if process is None or not await until(lambda alive=process.is_alive: not alive(), 8):  # type: ignore[misc]
                break
            await one.begin(point)
            process = one.process
        await asyncio.gather(*writing)
        await one.deliver(app, "k00000x01")
        settled = await one.settled()
        deaths = len(log.read_text().splitlines())
        shown = one.platforms.sentences()
        answered = sum(shown[f"k{at:05d}x00p000"] == 1 for at in range(1, beside + 1))
        ours = one.config.brands["velmora"].words.handovers
        told = sum(any(words in one_shown.text for words in ours) for one_shown in one.platforms.shown)
        after = shown["k00000x01p000"]
    result = (
        f"{deaths} deaths, {told} told that a person comes, {answered} of {beside} others answered, "
        f"the next message in the same lane {'answered' if after == 1 else 'not answered'}"
    )
    met = settled and (deaths, told, answered, after) == (lanes.STARTS, 1, beside, 1)
    goal = "told of, nobody else given up"
    return [Row("a message that kills the process", 1 + beside, goal, result, met, watch.seconds)]


Writing = list[tuple["asyncio.Task[Delivered]", str]]


async def _write(one: Rig, people: int, over_s: float) -> Writing:
    """People of all platforms that deliver again write, spread over some seconds."""
    apps = [app for app in one.apps() if app.channel.name in ("slack", "whatsapp", "messenger", "telegram", "line")]
    found: Writing = []
    began = time.monotonic()
    for number in range(people):
        for at, app in enumerate(apps):
            mark = f"k{at * 1000 + number:05d}x00"
            found.append((asyncio.create_task(one.deliver(app, mark)), mark))
        await asyncio.sleep(max(0.0, began + over_s * (number + 1) / people - time.monotonic()))
    return found


def _ended(writing: Writing) -> Iterator[tuple[Delivered, str]]:
    return ((task.result(), mark) for task, mark in writing if task.done())


async def _judged(one: Rig, what: str, writing: Writing, watch: Stopwatch, *, must_refuse: bool = False) -> Row:
    """The trouble is over: wait for everything, and hold what was taken against what was answered."""
    back = time.monotonic()
    sent = [(await task, mark) for task, mark in writing]
    settled = await one.settled()
    recovered_s = time.monotonic() - back
    shown = one.platforms.sentences()
    statuses = Counter(status for done, _ in sent for status in done.statuses)
    taken = [mark for done, mark in sent if done.acked]
    lost = [mark for mark in taken if shown[f"{mark}p000"] == 0]
    doubled = [mark for _, mark in sent if shown[f"{mark}p000"] > 1]
    answers = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(statuses.items()))
    longest = max(done.longest for done, _ in sent)
    result = (
        f"{answers}, after at most {longest:.0%} of the platform's deadline; "
        f"{len(taken)} taken in the end, {len(lost)} lost, {len(doubled)} doubled, "
        f"{len(sent) - len(taken)} given up by the platform; all settled after {recovered_s:.1f} s"
    )
    met = settled and bool(taken) and not lost and not doubled and (statuses[503] > 0 or not must_refuse)
    goal = "answered in time, 0 taken and lost, 0 doubled, nothing stuck"
    return Row(what, len(sent), goal, result, met and not statuses[0], watch.seconds)


def _waits(one: Rig) -> dict[str, float]:
    """Seconds from the refused send to the one that was taken, by channel."""
    taken = {shown.channel: shown.at for shown in one.platforms.shown}
    refused = one.platforms.refused_at
    return {name: taken[name] - at for name, at in refused.items() if name in taken}


class _Line:
    """A line to a server on this machine that can be cut."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> _Line:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Connect again."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Break all connections and take no more."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._open |= {writer, far_writer}
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._open -= {writer, far_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
