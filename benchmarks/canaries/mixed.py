"""Many requests of two brands, mixed, some at once; and the table of what came out where."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.canaries import ways
from benchmarks.canaries.marks import Watch
from benchmarks.canaries.ways import GUESSED, Way
from benchmarks.canaries.world import World, world
from benchmarks.chaos.rig import settled, until

AT_ONCE = 8
SHARES: Mapping[str, tuple[Way, float]] = {
    "widget": (ways.widget, 0.18),
    f"widget{GUESSED}": (ways.widget_guessed, 0.04),
    "webhooks": (ways.webhook, 0.16),
    "/v1/chat/completions": (ways.openai, 0.14),
    "bench": (ways.bench, 0.03),
    "pages of the console": (ways.pages, 0.12),
    f"pages of the console{GUESSED}": (ways.pages_guessed, 0.06),
    "/v1 of people": (ways.api, 0.1),
    f"/v1 of people{GUESSED}": (ways.api_guessed, 0.06),
    "search": (ways.search, 0.05),
    "exports": (ways.export, 0.02),
    "changes": (ways.change, 0.04),
}
"""Of all requests."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a mix came to."""

    requests: int
    watch: Watch
    seconds: Mapping[str, float]
    """By way, of requests that ran beside others."""
    failures: tuple[str, ...]
    """What should have been refused, or answered, and was not."""
    took_s: float


async def mixed(
    requests: int, *, seed: int = 7, at_once: int = AT_ONCE, spoil: Callable[[World], None] | None = None
) -> Found:
    """Open a world, make the requests, look at all that comes back.

    Args:
        requests: How many, about; of each way at least two, one a brand.
        seed: Of canaries and of the order.
        at_once: How many are under way together.
        spoil: Breaks the wall between the brands, to show that it would be seen.
    """
    watch, seconds, failures = Watch(seed), dict.fromkeys(SHARES, 0.0), list[str]()
    chance = random.Random(seed)  # noqa: S311 (repeatable, and no secret)
    began = time.monotonic()
    async with world(watch) as made:
        sides = list(made.sides.values())
        for side in sides:
            await ways.begin(made, side)
        if spoil is not None:
            spoil(made)
        wanted = [name for name, (_, share) in SHARES.items() for _ in range(max(1, round(requests * share / 2)))]
        tasks = [(name, side, 2 * at + which) for at, name in enumerate(wanted) for which, side in enumerate(sides)]
        chance.shuffle(tasks)
        left = iter(tasks)

        async def work() -> None:
            for name, side, number in left:
                since = time.monotonic()
                try:
                    await SHARES[name][0](made, side, chance, number + 1000)
                except RuntimeError as error:
                    failures.append(str(error))
                seconds[name] += time.monotonic() - since

        await asyncio.gather(*(work() for _ in range(at_once)))
        if not await until(lambda: settled(made.gateway.db), 120):
            failures.append("replies to platforms are left")
        ways.look_at_platforms(made)
    return Found(len(tasks), watch, seconds, tuple(failures), time.monotonic() - began)


def table(found: Found) -> Iterator[str]:
    """The lines of a Markdown table: by way, what was looked at, and what came out."""
    watch = found.watch
    crossed = Counter(one.way for one in watch.crossings)
    yield "| what was looked at | how many | refused | canaries of its own in it | of the other brand | seconds |"
    yield "|---|---|---|---|---|---|"
    for way in dict.fromkeys((*SHARES, *sorted(watch.looked))):
        took = f"{found.seconds[way]:.0f}" if way in found.seconds else ""
        counts = (watch.looked[way], watch.refused[way], watch.own[way], crossed[way])
        yield f"| {way} | {' | '.join(f'{one:,}' for one in counts)} | {took} |"
    total, refused, own = (sum(one.values()) for one in (watch.looked, watch.refused, watch.own))
    yield f"| all | {total:,} | {refused:,} | {own:,} | **{len(watch.crossings):,}** | {found.took_s:.0f} |"
