"""Trainings in processes beside each other, so that small models fill one GPU; each leaves a log and its result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULT = "result.json"
TAIL = 600
"""Characters of a failed process's log that are shown."""


@dataclass(frozen=True, slots=True)
class Task:
    """One process: `python -m <module> <arguments>`."""

    name: str
    module: str
    arguments: tuple[str, ...]
    folder: Path
    """Gets the log; the process writes its result there (`keep_result`)."""


def keep_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write what a process found, for the one that started it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")


def run_beside(
    tasks: Sequence[Task],
    beside: int,
    *,
    say: Callable[[str], object],
    start_within: float | None = None,
    every: float = 0.5,
) -> Iterator[dict[str, Any]]:
    """Run tasks in their order, so many at a time, and yield each result as it comes.

    A task that fails is told with the end of its log, and the others go on. What still runs when the caller stops is
    ended.

    Args:
        tasks: The one that takes longest first, so that none is left alone at the end.
        beside: Processes at a time.
        say: Told of what failed, and of what was not started.
        start_within: Seconds after which none is started any more; those that run come to their end.
        every: Seconds between two looks.
    """
    began = time.monotonic()
    waiting, going = list(tasks), dict[Task, subprocess.Popen[bytes]]()
    try:
        while waiting or going:
            while waiting and len(going) < beside:
                if start_within is not None and time.monotonic() - began > start_within:
                    say(f"no time left for {', '.join(task.name for task in waiting)}")
                    waiting.clear()
                    break
                task = waiting.pop(0)
                going[task] = _start(task, beside)
            time.sleep(every)
            for task, process in list(going.items()):
                if process.poll() is not None:
                    del going[task]
                    result = _result(task, process.returncode, say)
                    if result is not None:
                        yield result
    finally:
        for process in going.values():
            process.terminate()
        for process in going.values():
            process.wait()


def _start(task: Task, beside: int) -> subprocess.Popen[bytes]:
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / RESULT).unlink(missing_ok=True)
    threads = max(1, (os.cpu_count() or 2) // beside)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", task.module, *task.arguments]
    with (task.folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _result(task: Task, code: int, say: Callable[[str], object]) -> dict[str, Any] | None:
    kept = task.folder / RESULT
    if code or not kept.is_file():
        tail = (task.folder / "log").read_text(encoding="utf-8", errors="replace")[-TAIL:]
        say(f"FAILED {task.name} (exit {code}; -9 is want of memory): {tail}")
        return None
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return result
