"""What a training run leaves to look at: its folder with the recipe, and the loss of each step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from training.errors import TrainingFailed
from training.progress import Progress, Report


def new_run(runs: Path, name: str, recipe: BaseModel) -> Path:
    """A new `runs/<name>-<time>` with what the run is about to do.

    Raises:
        TrainingFailed: Nothing can be written there.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    run = next(
        folder
        for number in range(1000)
        if not (folder := runs / f"{name}-{stamp}{f'-{number}' if number else ''}").exists()
    )
    try:
        run.mkdir(parents=True)
        (run / "recipe.json").write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingFailed(f"no run can be kept in {runs}: {error}; free some disk or change its rights") from error
    return run


class LossLog:
    """Keeps the loss of each step in memory and on disk, and reports it with the time left."""

    def __init__(self, path: Path, progress: Progress, stage: str) -> None:
        self.losses: list[float] = []
        self._path = path
        self._progress = progress
        self._stage = stage
        self._began = 0.0

    def callback(self) -> Any:
        """As the trainer takes it."""
        from transformers import TrainerCallback

        outer = self

        class Callback(TrainerCallback):
            """Hands the trainer's events on."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                del args, control, kwargs
                outer._begin(state.max_steps)

            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
                del args, kwargs
                if logs and "loss" in logs:
                    outer._note(state.global_step, state.max_steps, logs)
                    control.should_training_stop |= not math.isfinite(logs["loss"])

        return Callback()

    def _begin(self, total: int) -> None:
        self._began = time.monotonic()
        self._progress(Report(self._stage, 0, total))

    def _note(self, step: int, total: int, logs: Mapping[str, float]) -> None:
        loss = float(logs["loss"])
        spent = time.monotonic() - self._began
        self.losses.append(loss)
        row = {"step": step, "loss": loss, "learning_rate": logs.get("learning_rate"), "seconds": round(spent, 2)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._progress(Report(self._stage, step, total, loss, spent / step * (total - step)))
