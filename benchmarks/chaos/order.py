"""One reply a message and in order: copies of an event at once, many lanes at once, a body with a malformed part."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from benchmarks.chaos.delivery import App, post
from benchmarks.chaos.rig import Rig, rig
from benchmarks.chaos.table import Row, Stopwatch
from benchmarks.fake_engine import MARK
from service.storage.tables import inbox, turns, unbound_events

LANE_CHANNELS = ("slack", "whatsapp", "telegram", "messenger")


async def storm(*, events: int, copies: int) -> list[Row]:
    """Deliver copies of each event at once: each gets its 200, and the person one reply.

    Args:
        events: A platform.
        copies: Of each.
    """
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        apps = one.apps()
        marks = {app.channel.name: [f"k{at * 1000 + n:05d}x00" for n in range(events)] for at, app in enumerate(apps)}
        statuses: Counter[int] = Counter()
        for app in apps:
            bodies = [one.body(app, mark) for mark in marks[app.channel.name]]
            calls = [post(one.session, one.url, app, body) for body in bodies for _ in range(copies)]
            statuses.update(status for status, _ in await asyncio.gather(*calls))
        await _settle(one)
        shown = one.platforms.sentences()
        wrong = [mark for of_app in marks.values() for mark in of_app if shown[f"{mark}p000"] != 1]
    sent = events * copies * len(apps)
    different = events * len(apps)
    answers = ", ".join(f"{count:,} x {status or 'no answer in time'}" for status, count in statuses.most_common())
    result = f"{answers}; {different - len(wrong)} of {different} events with one reply"
    # What is not answered in time is delivered once more, and is a copy like the others.
    met = not wrong and set(statuses) <= {0, 200}
    return [Row(f"{copies} copies of each event at once", sent, "one reply each, no 5xx", result, met, watch.seconds)]


async def lanes(*, seed: int, people: int, messages: int) -> list[Row]:
    """Send each person's messages in a shuffled order, all people at once: replies come in the order of arrival.

    Args:
        seed: Of the orders and the pauses.
        people: Each with a lane of their own.
        messages: Of each.
    """
    watch = Stopwatch()
    drawn = random.Random(seed)  # noqa: S311 (repeatable, and no secret)
    async with rig(seed=seed) as one:
        one.engine.pace_s = 0.005
        await one.begin(settings={"max_turns": 64})
        apps = [app for app in one.apps() if app.channel.name in LANE_CHANNELS]
        arrived: dict[str, list[str]] = {}
        at_once = asyncio.Semaphore(48)

        async def person(number: int, app: App) -> None:
            order = [f"k{number:05d}x{at:02d}" for at in range(messages)]
            drawn.shuffle(order)
            taken = arrived.setdefault(f"k{number:05d}", [])
            for mark in order:
                await asyncio.sleep(drawn.expovariate(1 / 0.3))
                async with at_once:
                    # Again where it is not taken in time, as platforms do; the next one waits for it.
                    done = await one.deliver(app, mark)
                if done.acked:
                    taken.append(mark)

        await asyncio.gather(*(person(number, apps[number % len(apps)]) for number in range(people)))
        await _settle(one, 600)
        answered = _by_lane(MARK.findall(text) for text in _texts(one))
        spoken = one.engine.spoken
        turned = len(await one.rows(turns))
    total = sum(map(len, arrived.values()))
    wrong = [lane for lane, order in arrived.items() if answered[lane] != order]
    overlapping = _overlaps(spoken)
    what = f"{messages} shuffled messages in each of {people} lanes"
    result = f"{people - len(wrong)} of {people} lanes in order, {overlapping} overlapping turns ({turned:,} turns)"
    met = total == people * messages and not wrong and not overlapping
    return [Row(what, total, "all in order of arrival, 0 overlapping", result, met, watch.seconds)]


async def batch() -> list[Row]:
    """Deliver one body of Meta's with 18 messages, one of them malformed."""
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        (app,) = (app for app in one.apps() if app.channel.name == "whatsapp")
        status, _ = await post(one.session, one.url, app, _meta_batch(one, app))
        await _settle(one)
        handled = sum(count == 1 for count in one.platforms.sentences().values())
        stored, aside = len(await one.rows(inbox)), len(await one.rows(unbound_events))
    result = f"{status}: {handled} answered, {aside} kept aside"
    met = (status, stored, handled, aside) == (200, 17, 17, 1)
    what = "a Meta body of 3 x 2 x 3 messages, one malformed"
    return [Row(what, 18, "200, 17 answered, 1 kept aside", result, met, watch.seconds)]


def _meta_batch(one: Rig, app: App) -> bytes:
    """Three entries of two changes of three messages; the eleventh has no id."""
    numbers = itertools.count()

    def value() -> dict[str, Any]:
        singles = [json.loads(one.body(app, f"k{next(numbers):05d}x00")) for _ in range(3)]
        inside = [single["entry"][0]["changes"][0]["value"] for single in singles]
        merged = {**inside[0]}
        for name in ("messages", "contacts"):
            merged[name] = [part for each in inside for part in each.get(name, [])]
        return merged

    entries = [{"id": "1", "changes": [{"field": "messages", "value": value()} for _ in range(2)]} for _ in range(3)]
    del entries[1]["changes"][1]["value"]["messages"][1]["id"]  # type: ignore[index]
    return json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()


async def _settle(one: Rig, timeout_s: float = 240) -> None:
    if not await one.settled(timeout_s):
        raise RuntimeError(f"Something is stuck: {await one.replies()}; {one.log_text()[-3000:]}")


def _texts(one: Rig) -> list[str]:
    return [shown.text for shown in one.platforms.shown]


def _by_lane(replies: Iterable[list[str]]) -> dict[str, list[str]]:
    """The marks of each lane as its person reads them."""
    found: dict[str, list[str]] = defaultdict(list)
    for marks in replies:
        for mark in marks:
            found[mark.partition("x")[0]].append(mark)
    return found


def _overlaps(spoken: list[tuple[str, float, float]]) -> int:
    """Generations of one lane that began before the one before it had ended."""
    last: dict[str, float] = {}
    found = 0
    for lane, began, ended in sorted(spoken, key=lambda one: one[1]):
        found += began < last.get(lane, 0.0)
        last[lane] = max(ended, last.get(lane, 0.0))
    return found
