"""Run experiments, print their tables and keep them.

python -m benchmarks.chaos [NAME ...] [--seed 7] [--short] [--out FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.chaos import ack, forged, fuzz, kill, loops, lossy, machine, order, trouble
from benchmarks.chaos.table import Row, table

Experiment = Callable[[int, bool], Awaitable[Sequence[Row]]]
"""Gets the seed and whether the short form is wanted."""

CHAOS: Mapping[str, Experiment] = {
    # In two halves of a few minutes each.
    "kill": lambda seed, short: kill.kill(seed=seed, points=12 if short else 100),
    "kill-more": lambda seed, short: kill.kill(seed=seed + 1, points=12 if short else 100),
    "lossy": lambda seed, short: lossy.lossy(seed=seed, people=6 if short else 60, drops=0.3 if short else 0.1),
    "storm": lambda _, short: order.storm(events=2 if short else 20, copies=50),
    "lanes": lambda seed, short: order.lanes(seed=seed, people=20 if short else 500, messages=5 if short else 20),
    "batch": lambda *_: order.batch(),
    "forged": lambda seed, short: forged.forged(seed=seed, flips=5 if short else 100),
    "genuine": lambda *_: forged.genuine(),
    "database-locked": lambda _, short: trouble.database_locked(gone_s=8 if short else 60, people=3 if short else 12),
    "database-gone": lambda _, short: trouble.database_gone(gone_s=5 if short else 60, people=3 if short else 12),
    "disk-full": lambda *_: trouble.disk_full(people=30),
    "engine-dead": lambda _, short: trouble.engine_dead(dead_s=300, faster=30, people=2 if short else 12),
    "busy": lambda _, short: trouble.busy_platform(retry_after_s=2 if short else 7),
    "clock": lambda *_: trouble.clock_off(off_s=600),
    "poison": lambda *_: trouble.poison(),
    "deadly": lambda *_: trouble.deadly(beside=12),
    "loops": lambda _, short: loops.loops(seconds=3 if short else 60),
    "pings": lambda *_: loops.pings(),
    "orders": lambda seed, short: machine.orders(seed=seed, examples=6 if short else 400),
    "fuzz": lambda seed, short: fuzz.fuzz(seed=seed, runs=100 if short else 1000),
}
CHANNELS: Mapping[str, Experiment] = {
    "ack": lambda _, short: ack.ack(
        rate=40 if short else 200, seconds=2 if short else 60, engine_s=0.5 if short else 20, limits=not short
    ),
    "idle": lambda _, short: ack.idle(sockets=200 if short else 5000, talkers=10 if short else 100, limits=not short),
    "slow-reader": lambda _, short: ack.slow_reader(seconds=5 if short else 60, readers=3 if short else 20, turns=3),
}
"""Those about time and memory: their figures want a machine that does nothing else."""
ALL = {**CHAOS, **CHANNELS}
BESIDE = ("benchmarks.chaos_gateways", "benchmarks.chaos_sockets")
"""Experiments that are commands of their own: gateways that share a PostgreSQL, and sockets that are cut."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is named, by default all of chaos; the exit status is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--short", action="store_true", help="each in its smallest form")
    parser.add_argument("--out", type=Path, help="a file whose sections of the same names are replaced")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(ALL):
        parser.error(f"there is no experiment {sorted(unknown)}; there are {', '.join(ALL)}")
    missed = 0
    for name in given.names or CHAOS:
        rows = asyncio.run(_run(ALL[name], given.seed, given.short))
        command = f"python -m benchmarks.chaos {name} --seed {given.seed}{' --short' if given.short else ''}"
        text = "\n".join((f"`{command}`", "", *table(rows)))
        print(f"## {name}\n\n{text}\n", flush=True)
        if given.out:
            keep(given.out, name, text)
        missed += sum(row.met is False for row in rows)
    for module in () if given.names or given.short else BESIDE:
        missed += subprocess.run([sys.executable, "-m", module], check=False).returncode
    sys.exit(1 if missed else 0)


async def _run(experiment: Experiment, seed: int, short: bool) -> Sequence[Row]:
    return await experiment(seed, short)


def keep(path: Path, name: str, text: str) -> None:
    """Put a section into a file of sections, in the place of the one of this name."""
    whole = path.read_text("utf-8") if path.exists() else f"# {path.stem}\n"
    title, *sections = re.split(r"^## ", whole, flags=re.M)
    found = {section.partition("\n")[0]: section for section in sections}
    found[name] = f"{name}\n\n{text}\n\n"
    path.write_text(title.rstrip() + "\n\n" + "".join(f"## {one}" for one in found.values()).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
