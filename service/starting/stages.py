"""What a long start shows while it runs: one line for each stage, with its seconds; kept afterwards as a record."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

WIDTH = 15
MARKS = {"running": "…", "done": "✓", "failed": "✗"}


@dataclass(slots=True)
class Stage:
    """One line."""

    name: str
    began: float
    detail: str = ""
    state: Literal["running", "done", "failed"] = "running"
    seconds: float = 0.0

    def line(self, now: float) -> str:
        """As it is shown."""
        seconds = self.seconds if self.state != "running" else now - self.began
        return f"{MARKS[self.state]} {self.name:{WIDTH}} {seconds:6.1f} s  {self.detail}".rstrip()


@dataclass(slots=True)
class Stages:
    """All lines of one start. On a terminal they live; elsewhere each is printed when it ends."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    stages: list[Stage] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __enter__(self) -> Stages:
        console = Console(file=self.out, highlight=False)
        if console.is_terminal:
            self._live = Live(get_renderable=self._render, console=console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Show a stage while the block runs; set its `detail` at any time."""
        stage = Stage(name, time.monotonic())
        self.stages.append(stage)
        try:
            yield stage
        except BaseException:
            self._end(stage, "failed")
            raise
        self._end(stage, "done")

    def say(self, text: str) -> None:
        """A line of its own below the stages so far."""
        if self._live is not None:
            self._live.console.print(text, markup=False)
        else:
            self._print(text)

    def step(self, stage: Stage, detail: str) -> None:
        """Tell of progress inside a long stage, also where no terminal shows the running line."""
        stage.detail = detail
        if self._live is None:
            self._print(stage.line(time.monotonic()))

    def save(self, path: Path, **facts: object) -> None:
        """Keep the seconds of each stage."""
        record = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
            **facts,
            "stages": [
                {"name": one.name, "seconds": round(one.seconds, 2), "state": one.state, "detail": one.detail}
                for one in self.stages
            ],
            "total_s": round(max((one.began + one.seconds for one in self.stages), default=self.began) - self.began, 2),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _end(self, stage: Stage, state: Literal["done", "failed"]) -> None:
        stage.seconds = time.monotonic() - stage.began
        stage.state = state
        if self._live is None:
            self._print(stage.line(0))

    def _print(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()

    def _render(self) -> Group:
        now = time.monotonic()
        return Group(*(Text(stage.line(now), no_wrap=True, overflow="ellipsis") for stage in self.stages))


def bar(step: int, total: int, *, width: int = 20) -> str:
    """A bar of text, such as `█████░░░░░ 12/24`."""
    if not total:
        return ""
    full = round(width * min(step, total) / total)
    return f"{'█' * full}{'░' * (width - full)} {step}/{total}"
