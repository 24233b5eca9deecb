"""Several gateways on one PostgreSQL, killed, stopped and doubled: is every message answered, and once?

    python -m benchmarks.chaos_gateways [--kills 12] [--seed 1] [--out FILE.md]

Prints a Markdown table with the goal beside each result; ends with 1 where one is missed. Needs PostgreSQL's server
programs (initdb), no engine, no model, no account: benchmarks/fleet.py says what stands in.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.chaos.rig import until
from benchmarks.fleet import Event, Fleet, fleet
from benchmarks.postgres import server

SHOWS_ONCE = ("discord", "line")
"""Platforms whose calls show once: by an edit, by a key."""
EVERYWHERE = (*SHOWS_ONCE, "slack")
LEASE_S = 2.0
RETRIES_S = (0.3, 1.0, 2.0, 4.0)
"""After which a platform delivers again what got no 200."""
KILL_AFTER_S = 2.5
"""A kill comes within this time of the first delivery: before, in and after generation and send."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    goal: str
    result: str
    met: bool


async def delivered(run: Fleet, event: Event, chance: random.Random) -> bool:
    """A platform delivers through the load balancer until it gets a 200."""
    for wait_s in (0.0, *RETRIES_S):
        await asyncio.sleep(wait_s)
        if await run.deliver(event, chance.choice(run.gateways)) == 200:
            return True
    return False


async def seen(run: Fleet, events: list[Event]) -> tuple[int, int, int]:
    """Of these events: how many replies are missing, doubled, and unknown."""
    shown = Counter((one.channel, one.to) for one in run.platforms.shown)
    states = {row[0]: row[1] for row in await run.rows("SELECT state, count(*) FROM outbox GROUP BY state")}
    lost = sum(shown[event.app.channel.name, event.to] == 0 for event in events)
    doubled = sum(shown[event.app.channel.name, event.to] > 1 for event in events)
    return lost, doubled, states.get("unknown", 0)


async def fifty_copies(run: Fleet, copies: int = 50, events: int = 6) -> list[Row]:
    """Each event comes many times at once, at all gateways."""
    made = [run.event(EVERYWHERE[at % len(EVERYWHERE)], f"copies-{at}") for at in range(events)]
    calls = [run.deliver(event, run.gateways[at % len(run.gateways)]) for event in made for at in range(copies)]
    statuses = Counter(await asyncio.gather(*calls))
    done = await run.settled(60)
    lost, doubled, _ = await seen(run, made)
    (turns,) = await run.rows("SELECT count(*) FROM turns")
    result = f"{turns[0]} turns, {lost} lost, {doubled} doubled, answers {dict(statuses)}"
    met = done and turns[0] == events and not lost and not doubled and set(statuses) <= {200, 503}
    what = f"{copies} copies of {events} events at once, {len(run.gateways)} gateways"
    return [Row(what, f"{events} turns, 0 lost, 0 doubled, 200 or a 503 in time", result, met)]


async def killed(run: Fleet, chance: random.Random, kills: int, channels: tuple[str, ...]) -> tuple[int, ...]:
    """Kill one of two again and again while messages come; events, lost, doubled, unknown."""
    events: list[Event] = []
    for number in range(kills):
        made = [run.event(channels[at % len(channels)], f"kill-{number}-{at}-{channels}") for at in range(6)]
        events += made
        tasks = []
        for event in made:
            tasks.append(asyncio.create_task(delivered(run, event, chance)))
            await asyncio.sleep(chance.uniform(0, 0.3))
        victim = chance.choice(run.gateways)
        await asyncio.sleep(chance.uniform(0, KILL_AFTER_S))
        await victim.end()
        taken = await asyncio.gather(*tasks)
        assert all(taken), "a platform gave up"
        await victim.begin()
    if not await run.settled(90):
        return len(events), -1, -1, -1
    return (len(events), *await seen(run, events))


async def kills_of(run: Fleet, chance: random.Random, kills: int) -> list[Row]:
    """On platforms where a call shows once, and where it does not."""
    rows = []
    for channels, words in ((SHOWS_ONCE, "key and edit platforms"), (("slack",), "a platform with neither")):
        before = (await seen(run, []))[2]
        count, lost, doubled, unknown = await killed(run, chance, kills, channels)
        unknown -= before
        what = f"kill -9 of one of two, {kills} times, {count} messages, {words}"
        result = f"{lost} lost, {doubled} doubled, {unknown} unknown"
        if channels == SHOWS_ONCE:
            rows.append(Row(what, "0 lost, 0 doubled, 0 unknown", result, (lost, doubled, unknown) == (0, 0, 0)))
        else:
            met = doubled == 0 and 0 <= lost <= unknown
            rows.append(Row(what, "0 doubled, lost only where counted unknown", result, met))
    return rows


async def stopped(run: Fleet, rounds: int) -> list[Row]:
    """Stop one for longer than the lease while it answers and sends, and let it go on."""
    victim = run.gateways[0]
    events: list[Event] = []
    noticed = 0
    for number in range(rounds):
        made = [run.event(EVERYWHERE[at % len(EVERYWHERE)], f"stop-{number}-{at}") for at in range(6)]
        events += made
        await asyncio.gather(*(run.deliver(event, victim) for event in made))
        # Some rounds stop it in the wait for more, some in generation, some while it sends.
        await asyncio.sleep(0.3 + 0.35 * number)
        before = victim.log_text().count("gateway_buried")
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S + 2.5)
        answered = await run.settled(30)
        victim.send(signal.SIGCONT)
        buried = before + 1

        async def told(buried: int = buried) -> bool:
            return victim.log_text().count("gateway_buried") >= buried

        noticed += answered and await until(told, 15)
    await asyncio.sleep(2)
    done = await run.settled(60)
    lost, doubled, unknown = await seen(run, events)
    overlapping = await overlaps(run)
    result = (
        f"{doubled} doubled, {lost} lost of which {unknown} unknown, noticed {noticed} times, {overlapping} overlaps"
    )
    met = done and doubled == 0 and lost <= unknown and noticed == rounds and overlapping == 0
    what = f"SIGSTOP longer than the lease, SIGCONT, {rounds} times, {len(events)} messages"
    return [Row(what, f"0 doubled, none lost uncounted, noticed {rounds} times, 0 overlaps", result, met)]


async def overlaps(run: Fleet) -> int:
    """Turns of a conversation that began before the one before them was over."""
    (count,) = await run.rows(
        "SELECT count(*) FROM turns a JOIN turns b ON a.conversation_id = b.conversation_id AND b.number = a.number + 1"
        " WHERE b.created_at < a.finished_at"
    )
    return int(count[0])


async def elsewhere(run: Fleet, pages: int = 12) -> list[Row]:
    """A page's socket at one gateway, its question asked at another: every frame, in order."""
    first, second = run.gateways[:2]
    missing, late_ms = 0, []
    for number in range(pages):
        asks = await run.widget(first)
        early = await run.widget(second, like=asks)
        await asks.say("How long do I have to return an unopened item?")
        await asks.until("token", count=1 + number)
        late = await run.widget(second, like=asks)
        whole = await asks.until("reply")
        since = time.monotonic()
        for page in (early, late):
            await page.until("reply")
        late_ms.append((time.monotonic() - since) * 1000)
        said = "".join(frame["text"] for frame in asks.of("token"))
        begun = late.welcome["turns"][-1]["text"]
        heard = ["".join(frame["text"] for frame in page.of("token")) for page in (early, late)]
        missing += heard[0] != said
        missing += begun + heard[1] != said or not begun
        missing += [page.of("reply")[0]["text"] for page in (early, late)] != [whole["text"]] * 2
        for page in (asks, early, late):
            await page.close()
    result = f"{missing} differ, last frame {max(late_ms):.0f} ms later at most"
    what = f"{pages} pages at another gateway than their turn, opened before it and amid it"
    return [Row(what, "each character once, in order", result, missing == 0)]


async def ordered(run: Fleet, conversations: int = 10, messages: int = 5) -> list[Row]:
    """Messages of a conversation come to any gateway; they are answered in the order of their arrival."""
    chance = random.Random(5)  # noqa: S311

    async def person(number: int) -> None:
        for at in range(messages):
            event = run.event("slack", f"order-{number}-{at}", sender=f"talker-{number}", said=f"Is it {at}?")
            await run.deliver(event, chance.choice(run.gateways))
            await asyncio.sleep(chance.uniform(0, 1.5))

    await asyncio.gather(*(person(number) for number in range(conversations)))
    done = await run.settled(90)
    wrong = await run.rows(
        "SELECT count(*) FROM inbox a JOIN inbox b ON a.conversation_id = b.conversation_id AND a.id < b.id"
        " JOIN turns s ON s.id = a.turn_id JOIN turns t ON t.id = b.turn_id WHERE s.number > t.number"
    )
    shown = Counter(one.to for one in run.platforms.shown if one.channel == "slack")
    replies = await run.rows("SELECT count(*) FROM outbox WHERE channel = 'slack' AND state = 'sent'")
    overlapping = await overlaps(run)
    result = f"{wrong[0][0]} out of order, {overlapping} overlaps, {sum(shown.values())} shown of {replies[0][0]} sent"
    met = done and not wrong[0][0] and not overlapping and sum(shown.values()) == replies[0][0]
    what = f"{conversations} conversations of {messages} messages, each to any of {len(run.gateways)} gateways"
    return [Row(what, "0 out of order, 0 overlaps, each shown once", result, met)]


async def story(
    database: str, work: Callable[[Fleet], Awaitable[list[Row]]], **settings: float | str
) -> tuple[list[Row], str]:
    """One story on a fleet of its own; its rows, and where its logs are."""
    folder = Path(tempfile.mkdtemp(prefix="brandvoice-fleet-"))
    async with fleet(database, folder, lease_s=LEASE_S, **settings) as run:  # type: ignore[arg-type]
        return await work(run), str(folder)


async def measured(database: str, kills: int, seed: int, only: str | None) -> list[Row]:
    """All stories."""
    chance = random.Random(seed)  # noqa: S311
    stories: dict[str, tuple[Callable[[Fleet], Awaitable[list[Row]]], dict[str, float | str]]] = {
        "copies": (fifty_copies, {"count": 4}),
        "order": (ordered, {"count": 3}),
        "elsewhere": (elsewhere, {"check": "off", "tokens": 150, "pace_ms": 20}),
        "stopped": (lambda run: stopped(run, 5), {"pace_ms": 40, "delay_ms": 400}),
        # So many deaths in a row look as if a message did it: that is the matter of `benchmarks.chaos deadly`.
        "killed": (lambda run: kills_of(run, chance, kills), {"pace_ms": 20, "delay_ms": 150, "starts": kills + 3}),
    }
    rows = []
    for name, (work, settings) in stories.items():
        if only in (None, name):
            found, folder = await story(database, work, **settings)
            rows += found
            for row in found:
                note = "" if row.met else f" (logs: {folder})"
                print(f"{name}: {row.result}{note}", file=sys.stderr, flush=True)
    return rows


def report(rows: list[Row], command: str) -> str:
    """The rows as Markdown."""
    lines = [f"| {row.what} | {row.goal} | {row.result} | {'yes' if row.met else 'NO'} |" for row in rows]
    return (
        f"# Several gateways, {date.today().isoformat()}\n\n`{command}` on {os.cpu_count()} cores "
        f"({platform.machine()}), PostgreSQL, engine, platforms and clients on the same; a lease of {LEASE_S:.0f} s."
        "\n\n"
        "| what | goal | result | met |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )


def main() -> int:
    """Start everything, run the stories, print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("copies", "order", "elsewhere", "stopped", "killed"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with server() as database:
        rows = asyncio.run(measured(database, arguments.kills, arguments.seed, arguments.only))
    text = report(rows, f"python -m benchmarks.chaos_gateways --kills {arguments.kills} --seed {arguments.seed}")
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return int(not all(row.met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
