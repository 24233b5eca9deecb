"""What adapters do, table by table: rates, answers, noise, forgetting, preferences.

    python -m benchmarks.adapter_effects prepare --data FOLDER                       here: search, the doctor, files
    python -m benchmarks.adapter_effects run --data FOLDER --base FOLDER --out FOLDER [--tables ...] [--minutes 9]
    python -m benchmarks.adapter_effects report --data FOLDER --base FOLDER --rows FOLDER --results FOLDER

`prepare` and `report` take minutes of a CPU; `run` wants a GPU, which many small trainings share beside each other, and
needs nothing but the repository, FOLDER and the base model. Each finished row is written to `<table>.jsonl` at once;
rows of several calls add up. `--rows` and `--steps` make a rehearsal.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.chats import Place, Run
from training.runs.beside import Task, keep_result, run_beside

TABLES = ("answers", "forgetting", "preferences", "rates", "noise")
"""In the order in which their runs are started; `benchmarks/adapter_<table>.py` each."""
EARLIER = {"rates": Path("benchmarks/results/2026-11-25-training-rates.jsonl")}
"""Rows of earlier days that a table goes on from."""


def table(name: str) -> Any:
    """The module of a table; loaded when it is wanted, because each needs other parts."""
    return importlib.import_module(f"benchmarks.adapter_{name}")


def prepare(place: Place, tables: Sequence[str]) -> Iterator[str]:
    """Everything that a GPU machine without knowledge base and shared data needs; a line about each part."""
    place.data.mkdir(parents=True, exist_ok=True)
    for name in tables:
        if hasattr(table(name), "prepare"):
            yield from (f"{name}: {line}" for line in table(name).prepare(place))
    if place.bitext.parent != place.data:
        (place.data / "bitext.gz").write_bytes(place.bitext.read_bytes())


def run(place: Place, arguments: argparse.Namespace) -> int:
    """Run what the tables want, beside each other; how many rows came."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    wanted = [one for name in arguments.tables for one in table(name).runs(place)]
    done = {row["run"] for path in arguments.skip.glob("*.jsonl") for row in _read(path)} if arguments.skip else set()
    wanted = [one for one in wanted if not arguments.only or any(part in one.name for part in arguments.only)]
    wanted = [one for one in wanted if one.name not in done]
    _say(f"{len(wanted)} runs, {arguments.beside} beside each other")
    tasks = [_task(one, place, arguments.work) for one in wanted]
    start_within = 60 * arguments.minutes if arguments.minutes is not None else None
    rows = 0
    for row in run_beside(tasks, arguments.beside, say=_say, start_within=start_within):
        # At once: a machine that is lent may be taken back.
        with (arguments.out / f"{row['table']}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        _say(" ".join(f"{key}={value}" for key, value in row.items() if key in SHOWN))
        rows += 1
    return rows


SHOWN = (
    *("table", "arm", "seed", "rate", "rank", "epochs", "held_back_loss", "loss", "likeness", "facts", "scores"),
    *("train_seconds", "train_device"),
)


def report(place: Place, rows: Path, results: Path) -> Iterator[Path]:
    """Write the page of each table whose rows are there."""
    for name in TABLES:
        found = _read(rows / f"{name}.jsonl")
        if not found:
            continue
        device = next((row["train_device"] for row in found if "train_device" in row), "")
        for short, title, lines in table(name).pages([*_read(EARLIER.get(name)), *found], place, results):
            path = results / f"{date.today().isoformat()}-adapter-{short}.md"
            command = f"`python -m benchmarks.adapter_effects run --tables {name}`{f' on {device}' if device else ''}"
            head = [f"# {title}, {date.today().isoformat()}", "", f"{command}. {_about(table(name))}", ""]
            path.write_text("\n".join([*head, *lines]).rstrip() + "\n", encoding="utf-8")
            yield path


def _about(module: Any) -> str:
    """What stands in a module's docstring after its first line."""
    return " ".join(str(module.__doc__).split("\n\n", maxsplit=1)[1].split())


def _read(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _task(one: Run, place: Place, work: Path) -> Task:
    given = ["one", "--run", json.dumps(asdict(one)), "--base", str(place.base), "--data", str(place.data)]
    given += ["--steps", str(place.steps), "--work", str(work)]
    given += ["--rows", str(place.rows)] if place.rows is not None else []
    return Task(one.name, "benchmarks.adapter_effects", tuple(given), work / one.name)


def main() -> int:
    """Prepare, run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("prepare", "run", "report", "one"))
    parser.add_argument("--data", type=Path, required=True, help="what prepare writes and the others read")
    parser.add_argument("--base", type=Path, default=Path("var/models/smollm2-135m-instruct"))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--only", nargs="+", help="runs with one of these in their name")
    parser.add_argument("--skip", type=Path, help="folder of rows that are there already")
    parser.add_argument("--beside", type=int, default=8, help="runs at one time")
    parser.add_argument("--minutes", type=float, help="start none after these")
    parser.add_argument("--rows", help="run: that many examples only, a rehearsal; report: folder of the rows")
    parser.add_argument("--steps", type=int, default=-1, help="that many steps only: a rehearsal")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "adapter_effects", help="logs of the runs"
    )
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rehearsed = int(arguments.rows) if arguments.rows and arguments.do != "report" else None
    place = Place(arguments.base, arguments.data, rehearsed, arguments.steps)
    if arguments.do == "one":
        one = Run(**json.loads(arguments.run))
        place = replace(place, keep=arguments.work / one.name)
        keep_result(arguments.work / one.name, {"run": one.name, **table(one.table).one(one, place)})
        return 0
    if arguments.do == "run":
        return 0 if run(place, arguments) else 1
    lines = (
        prepare(place, arguments.tables)
        if arguments.do == "prepare"
        else report(place, Path(arguments.rows), arguments.results)
    )
    for line in lines:
        _say(str(line))
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
