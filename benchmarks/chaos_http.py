"""Requests that nobody would write, to every operation of the HTTP interface, made from its own description.

    python -m benchmarks.chaos_http --schemathesis VENV/bin/schemathesis [--examples 200] [--out FILE]

Schemathesis reads `/openapi.json` of a running gateway and makes requests that fit it and that do not. It needs an
environment of its own (`pip install schemathesis`); nothing of it is imported here. The goal is that no request is
answered with a status of 500 or more; what it says besides, such as a status that the description does not name, is
counted and shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.chaos.__main__ import keep
from benchmarks.chaos.rig import Rig, rig
from benchmarks.chaos.table import Row, Stopwatch, table
from service.storage.tables import turns

BROKEN = "ServerError"
"""What Schemathesis calls an answer of 500 or more."""


async def http(program: str, *, examples: int, seed: int) -> list[Row]:
    """Let Schemathesis at a gateway that holds a conversation.

    Args:
        program: Schemathesis' command.
        examples: Requests for each operation, besides those of its systematic phase.
        seed: Of the requests.
    """
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        report = await _report(one, program, examples=examples, seed=seed)
    cases = report["test_cases"]["generated"]
    failures = {failure["type"]: failure for failure in report["failures"]}
    broken = failures.pop(BROKEN, {"operations": []})["operations"]
    others = ", ".join(f"{one['title'].lower()}: {len(one['operations'])}" for one in failures.values()) or "nothing"
    tested = report["operations"]["tested"]
    return [
        Row(
            f"schemathesis: {tested} operations",
            cases,
            "0 answered with 5xx",
            f"{len(broken)} operations with 5xx{': ' + ', '.join(broken) if broken else ''}",
            not broken and report["operations"]["errored"] == 0,
            watch.seconds,
        ),
        Row("what it says besides, in operations", cases, "", others, None, watch.seconds),
    ]


async def _report(one: Rig, program: str, *, examples: int, seed: int) -> dict[str, Any]:
    """Its JSON report; ids in paths are those of a turn that exists, so that it comes further than to 404."""
    await one.deliver(one.apps()[0], "h00001x00")
    await one.settled()
    (turn,) = await one.rows(turns)
    known = {"brand": "velmora", "conversation": turn.conversation_id, "turn": turn.id, "model": "velmora"}
    settings, report = one.life.home / "schemathesis.toml", one.life.home / "schemathesis.json"
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in known.items()]
    settings.write_text("\n".join(["[parameters]", *lines, ""]), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        program,
        *("--config-file", str(settings), "run", one.url + "/openapi.json"),
        *("--phases", "coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed)),
        *("--continue-on-failure", "--report", "json", "--report-json-path", str(report)),
        stdout=asyncio.subprocess.DEVNULL,
        cwd=one.life.home,
    )
    await process.wait()
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Run, print, keep; 1 where something is answered with 5xx."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos_http")
    parser.add_argument(
        "--schemathesis", type=os.path.abspath, required=True, help="the command, in an environment of its own"
    )
    parser.add_argument("--examples", type=int, default=200, help="requests for each operation")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a file whose section of this name is replaced")
    given = parser.parse_args()
    rows = asyncio.run(http(given.schemathesis, examples=given.examples, seed=given.seed))
    command = f"python -m benchmarks.chaos_http --examples {given.examples} --seed {given.seed}"
    text = "\n".join((f"`{command}`", "", *table(rows)))
    print(f"## http\n\n{text}")
    if given.out:
        keep(given.out, "http", text)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
