"""Inbox and lanes beside DBOS and procrastinate, for the job "this conversation has news".

    python -m benchmarks.durable_jobs --peers VENV [--postgres URL] [--out benchmarks/results/FILE.md]

VENV holds `dbos`, `procrastinate` and `psycopg[binary]`; URL names a PostgreSQL server on which databases may be made,
such as postgresql://postgres@127.0.0.1:5432. For each system: hand in 200 jobs of two steps for 20 conversations, then
the same once more with a kill -9 in the middle. Rounds go through the systems in turn, so that a busy machine is busy
for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path

WORKER = "benchmarks.durable_jobs_worker"
JOBS = 200
STEP_S = 0.15
"""Of a job that is killed: so long that the middle comes after the last hand-in."""


@dataclass
class System:
    """One of the systems on one database."""

    name: str
    database: str
    python: str
    enqueue_ms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    disorder: int = 0
    """Jobs that were worked on before one that came earlier in their conversation was done."""
    overlaps: int = 0
    recovery_s: list[float] = field(default_factory=list)
    """From the start after a kill to the first step of a job that was cut."""
    lost: int = 0
    twice: int = 0
    """Steps that were made again after a kill."""


def lines(effects: Path) -> list[tuple[int, int, int, float]]:
    """Conversation, number, step, moment."""
    rows = [line.split() for line in effects.read_text().splitlines()]
    return [(int(a), int(b), int(c), float(d)) for a, b, c, d in rows]


def disorder(effects: Path) -> tuple[int, int]:
    """Pairs of neighbours in one conversation that are out of order, and those that overlap."""
    by_conversation: dict[int, list[tuple[int, int, int, float]]] = {}
    for line in lines(effects):
        by_conversation.setdefault(line[0], []).append(line)
    wrong = overlapping = 0
    for found in by_conversation.values():
        started = [number for _, number, step, _ in found if step == 1]
        wrong += sum(b < a for a, b in pairwise(started))
        overlapping += sum(a[2] == 1 and b[1] != a[1] for a, b in pairwise(found))
    return wrong, overlapping


class Bench:
    """Runs systems in folders and databases of their own."""

    def __init__(self, postgres: str | None) -> None:
        self._postgres = postgres
        self._made = 0

    def url(self, system: System, folder: Path) -> str:
        """A fresh database."""
        if system.database == "SQLite":
            return f"sqlite:///{folder}/bench.db"
        self._made += 1
        name = f"bench_{os.getpid()}_{self._made}"
        subprocess.run(["psql", "-q", f"{self._postgres}/postgres", "-c", f"CREATE DATABASE {name}"], check=True)
        url = f"{self._postgres}/{name}"
        drivers = {"ours": "postgresql+asyncpg", "dbos": "postgresql+psycopg"}
        return url.replace("postgresql", drivers[system.name], 1) if system.name in drivers else url

    def start(self, system: System, url: str, effects: Path, *more: str) -> subprocess.Popen[bytes]:
        """One process of it."""
        command = [system.python, "-m", WORKER, system.name, "--url", url, "--effects", str(effects), *more]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": "."}
        )

    def whole(self, system: System) -> None:
        """Hand in and work on all."""
        with tempfile.TemporaryDirectory() as scratch:
            effects = Path(scratch) / "effects"
            process = self.start(system, self.url(system, Path(scratch)), effects)
            out, _ = process.communicate(timeout=300)
            told = json.loads(out.splitlines()[-1])
            system.enqueue_ms += [one * 1000 for one in told["enqueue_s"]]
            moments = [line[3] for line in lines(effects)]
            # From the first hand-in: the steps begin while others are still handed in.
            system.seconds.append(max(moments) - min(moments) + told["enqueue_s"][0])
            wrong, overlapping = disorder(effects)
            system.disorder += wrong
            system.overlaps += overlapping

    def killed(self, system: System) -> None:
        """Kill in the middle, start anew."""
        with tempfile.TemporaryDirectory() as scratch:
            effects = Path(scratch) / "effects"
            url = self.url(system, Path(scratch))
            steps = ("--step-s", str(STEP_S))
            process = self.start(system, url, effects, *steps)
            handed_in = effects.with_suffix(".handed")
            while not handed_in.exists() or len(effects.read_text().splitlines()) < JOBS:
                time.sleep(0.005)
            process.kill()
            process.wait()
            before = lines(effects)
            begun = {line[:2] for line in before if line[2] == 1} - {line[:2] for line in before if line[2] == 2}
            since = time.time()
            process = self.start(system, url, effects, "--phase", "resume", *steps)
            process.communicate(timeout=300)
            after = lines(effects)
            done = {line[:2] for line in after if line[2] == 2}
            system.lost += JOBS - len(done)
            system.twice += len(after) - len({line[:3] for line in after})
            cut = [line[3] for line in after[len(before) :] if line[:2] in begun]
            if cut:
                system.recovery_s.append(max(cut) - since)


def report(systems: Sequence[System], rounds: int) -> str:
    """As Markdown."""
    head = "| system | database | hand-in p50, ms | p99, ms | 200 jobs, s | out of order | overlapping | "
    head += "back after kill -9, s | lost | steps made again |"
    rows = [head, "|" + "---|" * 10]
    for one in systems:
        handed = sorted(one.enqueue_ms)
        p99 = handed[int(len(handed) * 0.99)]
        rows.append(
            f"| {one.name} | {one.database} | {statistics.median(handed):.1f} | {p99:.1f} | "
            f"{statistics.median(one.seconds):.2f} | {one.disorder} | {one.overlaps} | "
            f"{statistics.median(one.recovery_s):.1f} | {one.lost} | {one.twice} |"
        )
    where = f"{os.cpu_count()} cores ({platform.machine()})"
    return (
        f"# Durable jobs, {date.today().isoformat()}\n\n"
        f"`python -m benchmarks.durable_jobs` on {where}, {rounds} rounds; medians over rounds, sums of counts.\n"
        f"{JOBS} jobs of two steps in 20 conversations, 16 at a time; DBOS and procrastinate poll every 50 ms. In a\n"
        'kill round a step takes 150 ms; "back" is from the start of the new process until the last job that was cut\n'
        "in the middle is done.\n\n" + "\n".join(rows) + "\n"
    )


def main() -> None:
    """Run all, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--postgres")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    peers = str(arguments.peers / "bin" / "python")
    systems = [System("ours", "SQLite", sys.executable), System("dbos", "SQLite", peers)]
    if arguments.postgres:
        systems += [System("ours", "PostgreSQL", sys.executable), System("dbos", "PostgreSQL", peers)]
        systems += [System("procrastinate", "PostgreSQL", peers)]
    bench = Bench(arguments.postgres)
    for _ in range(arguments.rounds):
        for system in systems:
            bench.whole(system)
            bench.killed(system)
    text = report(systems, arguments.rounds)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
