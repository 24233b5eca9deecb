"""From an empty machine to an answer: the seconds of each stage of a first and a second `make demo`.

    python -m benchmarks.first_start [--out benchmarks/results/FILE.md]

Clones this repository to a new folder and runs its Makefile there, with package caches that are empty.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

QUESTION = "How long do I have to return an unopened item?"


def start(clone: Path, environment: dict[str, str]) -> tuple[float, dict[str, Any], str]:
    """One `make demo ONCE=...`: its seconds, the record of its stages, what it printed."""
    since = time.monotonic()
    done = subprocess.run(
        ["make", "demo", f"ONCE={QUESTION}"], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - since
    if done.returncode:
        raise SystemExit(f"make demo ended with {done.returncode}:\n{done.stderr[-3000:]}")
    newest = max((clone / "var/runs").glob("demo-*.json"))
    return seconds, json.loads(newest.read_text("utf-8")), done.stdout


def run() -> str:
    """Clone, start twice, render."""
    with tempfile.TemporaryDirectory(prefix="brandvoice-first-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BRANDVOICE_")}
        environment |= {"UV_CACHE_DIR": f"{folder}/uv", "PIP_NO_CACHE_DIR": "1"}
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV"):
            environment.pop(name, None)
        first, second = start(clone, environment), start(clone, environment)
    names = [stage["name"] for stage in first[1]["stages"] if stage["name"] != "answer"]

    def stage(record: dict[str, Any], name: str) -> str:
        return f"{next(one['seconds'] for one in record['stages'] if one['name'] == name):.1f}"

    def rest(seconds: float, record: dict[str, Any]) -> str:
        return f"{seconds - record['total_s']:.1f}"

    lines = [
        f"# First start, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.first_start` on {os.cpu_count()} cores ({platform.machine()}, "
        f"Python {platform.python_version()}): a clean clone, empty package caches, the packages from the registry. "
        "Base model and encoder are prepared side by side.",
        "",
        "| stage | first start, s | second start, s |",
        "|---|---|---|",
        f"| environment and packages | {rest(first[0], first[1])} | {rest(second[0], second[1])} |",
        *(f"| {name} | {stage(first[1], name)} | {stage(second[1], name)} |" for name in names),
        f"| **both brands have answered** | **{first[0]:.1f}** | **{second[0]:.1f}** |",
        "",
        "```",
        second[2].strip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = run()
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
