"""Make the requests, print the table, keep it.

python -m benchmarks.canaries [--requests 10000] [--seed 7] [--out FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from benchmarks.canaries.mixed import AT_ONCE, Found, mixed, table
from benchmarks.retrieval_goals import machine


def report(found: Found, command: str) -> str:
    """The page that is kept."""
    crossed = [
        f"- {one.way}: {one.reader or 'nobody'} got {one.mark} ({one.place}) from {one.where}"
        for one in found.watch.crossings
    ]
    lines = [
        f"`{command}` on {machine()}: {found.requests:,} requests of two brands, mixed, {AT_ONCE} at a time, with "
        f"{len(found.watch.places):,} canaries, in {found.took_s:.0f} s: **{len(found.watch.crossings)} crossed**.",
        "",
        *table(found),
        "",
        *sorted(set(crossed))[:50],
        *(f"- not as it should be: {one}" for one in sorted(set(found.failures))[:50]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Run, print, keep; 1 where something crossed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.canaries")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a file for the table")
    given = parser.parse_args()
    found = asyncio.run(mixed(given.requests, seed=given.seed))
    text = report(found, f"python -m benchmarks.canaries --requests {given.requests} --seed {given.seed}")
    print(text)
    if given.out:
        given.out.write_text(f"# Canaries of one brand in requests of another\n\n{text}", encoding="utf-8")
    return int(bool(found.watch.crossings or found.failures))


if __name__ == "__main__":
    sys.exit(main())
