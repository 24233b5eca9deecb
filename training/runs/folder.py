"""What a training run leaves to look at: its folder with the recipe, and the loss of each step."""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def one_at_a_time(runs: Path, brand: str) -> Iterator[None]:
    """Hold a brand's lock, which a process that is killed lets go.

    Raises:
        TrainingFailed: Another process trains the brand, or nothing can be written there.
    """
    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock = (runs / f".{brand}.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise TrainingFailed(f"no run can be kept in {runs}: {error}; free some disk or change its rights") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip()
            raise TrainingFailed(
                f"{brand} is being trained by {f'process {holder}' if holder else 'another process'} already; wait for "
                "it, or end it first"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


ORIGIN_FILE = "origin.json"
"""What a run is made of; it lies there until the run has come to its end."""


def unfinished(runs: Path, origin: Mapping[str, str | None]) -> Path | None:
    """The newest run made of exactly this that left a whole checkpoint and no adapter."""
    for file in sorted(runs.glob(f"*/{ORIGIN_FILE}"), reverse=True):
        try:
            same = json.loads(file.read_text("utf-8")) == dict(origin)
        except (OSError, ValueError):
            continue
        if same and last_checkpoint(file.parent / "trainer"):
            return file.parent
    return None


def last_checkpoint(trainer: Path) -> Path | None:
    """The newest whole checkpoint in a trainer's folder; what a crash left half-written is passed over."""
    found = {}
    for folder in trainer.glob("checkpoint-*"):
        try:
            # Written last, once weights, optimizer and random state lie beside it.
            found[int(json.loads((folder / "trainer_state.json").read_text("utf-8"))["global_step"])] = folder
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found[max(found)] if found else None


ALSO = {"rewards/accuracies": "accuracy", "rewards/margins": "margin"}
"""What a trainer on pairs tells beside the loss, in its words and ours: the share of pairs whose chosen reply has
gained more on the reference than the other, and by how much."""


class LossLog:
    """Keeps the loss of each step in memory and on disk (given a path), and reports it with the time left."""

    def __init__(self, path: Path | None, progress: Progress, stage: str, *, resumed_at: int = 0) -> None:
        # Steps after the checkpoint are made again.
        rows = [row for row in _rows(path) if row["step"] <= resumed_at] if path else []
        if path:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.losses: list[float] = [row["loss"] for row in rows if "loss" in row]
        self.held_back: dict[int, float] = {
            row["step"]: row["held_back_loss"] for row in rows if "held_back_loss" in row
        }
        """Loss on what is held back, by step."""
        self._also = {
            row["step"]: {name: row[name] for name in ALSO.values() if name in row}
            for row in rows
            if "held_back_loss" in row
        }
        self.broke_at: int | None = None
        """The step whose loss or gradient was not a number."""
        self._path = path
        self._resumed_at = resumed_at
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
                    if not all(math.isfinite(logs.get(key, 0.0)) for key in ("loss", "grad_norm")):
                        # What comes of such a step is no state to go on from: it must not push out the last good one.
                        outer.broke_at = state.global_step
                        control.should_training_stop = True
                        control.should_save = control.should_evaluate = False
                if logs and "eval_loss" in logs:
                    outer._note_held_back(state.global_step, logs)

        return Callback()

    def held_back_metrics(self) -> dict[str, float | int]:
        """The loss on what is held back, before training and at its best; empty where nothing is."""
        found: dict[str, float | int] = {}
        after = {step: loss for step, loss in self.held_back.items() if step}
        if 0 in self.held_back:
            found |= {f"held_back_{name}_before": value for name, value in self._looked(0).items()}
        if after:
            best = min(after, key=after.__getitem__)
            found |= {f"held_back_{name}": value for name, value in self._looked(best).items()} | {"best_step": best}
        return found

    def _looked(self, step: int) -> dict[str, float]:
        """What one look at what is held back found."""
        return {name: round(value, 4) for name, value in {"loss": self.held_back[step], **self._also[step]}.items()}

    def _begin(self, total: int) -> None:
        self._began = time.monotonic()
        self._progress(Report(self._stage, self._resumed_at, total))

    def _note(self, step: int, total: int, logs: Mapping[str, float]) -> None:
        loss = float(logs["loss"])
        spent = time.monotonic() - self._began
        self.losses.append(loss)
        row = {"step": step, "loss": loss, "learning_rate": logs.get("learning_rate"), "seconds": round(spent, 3)}
        # Without padding, since the start of this process.
        row |= {"tokens": logs["num_tokens"]} if "num_tokens" in logs else {}
        row |= {name: float(logs[key]) for key, name in ALSO.items() if key in logs}
        self._write(row)
        made = max(1, step - self._resumed_at)
        self._progress(Report(self._stage, step, total, loss, spent / made * (total - step)))

    def _note_held_back(self, step: int, logs: Mapping[str, float]) -> None:
        self.held_back[step] = float(logs["eval_loss"])
        also = {name: float(logs[f"eval_{key}"]) for key, name in ALSO.items() if f"eval_{key}" in logs}
        self._also[step] = also
        self._write({"step": step, "held_back_loss": self.held_back[step], **also})

    def _write(self, row: Mapping[str, object]) -> None:
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _rows(path: Path) -> list[dict[str, Any]]:
    """Whole lines of an earlier log; a crash may have cut the last one."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
