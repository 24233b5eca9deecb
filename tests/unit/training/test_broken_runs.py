"""What breaks a training: losses that are no numbers, memory, disk, two at once, nothing to watch."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.training import Recipe, Sft
from training.errors import RecipeInvalid, TrainingFailed
from training.progress import Report
from training.recipes import dpo, sft
from training.runs.folder import last_checkpoint, one_at_a_time
from training.testing import TINY_RECIPE, tiny_dpo_job, tiny_examples, tiny_job


def recipe(**sft: object) -> Recipe:
    """The tiny recipe with other settings."""
    return TINY_RECIPE.model_copy(update={"sft": Sft.model_validate({**TINY_RECIPE.sft.model_dump(), **sft})})


def at_step(step: int, act: Callable[[], object]) -> Callable[[Report], None]:
    """Progress that does something once a step is done."""

    def told(report: Report) -> None:
        if report.loss is not None and report.step == step:
            act()

    return told


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_state(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer.sft_trainer import SFTTrainer

    real = SFTTrainer.compute_loss

    def overflows(self: Any, *given: Any, **named: Any) -> Any:
        loss = real(self, *given, **named)
        return loss * (float("nan") if self.state.global_step == 6 else 1.0)

    monkeypatch.setattr(SFTTrainer, "compute_loss", overflows)
    job = tiny_job(base, tmp_path, recipe(learning_rate=0.9, checkpoint_every=1))
    with pytest.raises(
        TrainingFailed, match=r"not a number at step 7: lower sft\.learning_rate \(now 0\.9\)"
    ) as raised:
        sft.main(job)
    (run,) = job.runs.iterdir()
    # It stops at once and does not train to the end of its 30 steps.
    assert len((run / "losses.jsonl").read_text().splitlines()) == 7
    kept = last_checkpoint(run / "trainer")
    assert kept is not None
    assert kept.name == "checkpoint-6"
    assert str(kept) in str(raised.value)
    from safetensors.torch import load_file

    assert all(bool(one.isfinite().all()) for one in load_file(kept / "adapter_model.safetensors").values())
    assert not job.out.exists()


def test_a_gpu_without_memory_is_told_with_what_to_lower(base: Path, tmp_path: Path) -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    job = replace(tiny_job(base, tmp_path), progress=at_step(2, full))
    with pytest.raises(
        TrainingFailed, match=r"lower sft.per_device_train_batch_size \(now 2\).*max_length \(now 400\)"
    ):
        sft.main(job)
    single = tiny_job(base, tmp_path / "one", recipe(per_device_train_batch_size=1))
    with pytest.raises(TrainingFailed, match=r"one row already, so lower data.max_source_tokens \(now 700\)"):
        sft.main(replace(single, progress=at_step(2, full)))
    pairs = replace(tiny_dpo_job(base, tmp_path / "dpo"), progress=at_step(2, full))
    with pytest.raises(TrainingFailed, match=r"lower dpo.per_device_train_batch_size \(now 4\)"):
        dpo.main(pairs)


LITTLE_MEMORY = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tests.unit.training.test_broken_runs import at_step, recipe
from training.errors import TrainingFailed
from training.recipes import sft
from training.testing import tiny_examples, tiny_job

def limit():
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (48 << 20), resource.RLIM_INFINITY))

long = recipe(per_device_train_batch_size=64, max_length=4096)
examples = tuple(replace(one, completion="on and on " * (1 if number else 380)) for number, one in
                 enumerate(tiny_examples(128)))
job = replace(tiny_job(Path(sys.argv[1]), Path(sys.argv[2]), long), examples=examples)
limited = replace(job, progress=lambda report: limit() if report.stage.startswith("training") else None)
try:
    sft.main(limited)
except TrainingFailed as error:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(error)
"""


def test_a_machine_without_memory_is_told_with_what_to_lower(base: Path, tmp_path: Path) -> None:
    done = child(LITTLE_MEMORY, base, tmp_path)
    assert "memory ran out while training acme: lower sft.per_device_train_batch_size (now 64)" in done


SMALL_FILES = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tests.unit.training.test_broken_runs import at_step, recipe
from training.errors import TrainingFailed
from training.recipes import sft
from training.testing import tiny_job

def limit():
    # No file may grow as large as this one of the state before.
    (before,) = Path(sys.argv[2]).glob(f"runs/*/trainer/checkpoint-5/{sys.argv[3]}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (before.stat().st_size - 1, resource.RLIM_INFINITY))

job = tiny_job(Path(sys.argv[1]), Path(sys.argv[2]), recipe(checkpoint_every=5, max_steps=20))
try:
    sft.main(replace(job, progress=at_step(7, limit)))
except TrainingFailed as error:
    print(error)
"""


# One is written by safetensors, the other by torch, and each tells it in its own way.
@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt"])
def test_a_state_that_the_disk_does_not_take_leaves_the_one_before(base: Path, tmp_path: Path, file: str) -> None:
    told = child(SMALL_FILES, base, tmp_path, file)
    assert "the state of step 10 could not be written" in told
    assert "free some disk, the same command goes on from checkpoint-5" in told
    (run,) = (tmp_path / "runs").iterdir()
    assert [one.name for one in (run / "trainer").glob("checkpoint-*")] == ["checkpoint-5"]
    assert not (tmp_path / "adapters").exists()
    # With room again the same run goes on and ends.
    job = tiny_job(base, tmp_path, recipe(checkpoint_every=5, max_steps=20))
    assert len(sft.main(replace(job, resume=run)).losses) == 20


def test_weights_that_the_disk_does_not_take_leave_no_adapter(base: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(report: Report) -> None:
        if report.stage.startswith("packaging"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    job = replace(tiny_job(base, tmp_path, recipe(max_steps=1)), progress=limit)
    try:
        with pytest.raises(TrainingFailed, match="the adapter could not be written"):
            sft.main(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(job.out.parent.iterdir()) == []


def test_a_share_that_leaves_nothing_to_watch_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match="leaves nothing to watch"):
        sft.main(tiny_job(base, tmp_path, recipe(held_back=0.001)))
    one = replace(tiny_job(base, tmp_path / "one", recipe(held_back=0.5)), examples=tiny_examples(1))
    with pytest.raises(RecipeInvalid, match=r"leaves nothing to (watch|learn)"):
        sft.main(one)


HOLDS = """
import sys, time
from pathlib import Path
from training.runs.folder import one_at_a_time

with one_at_a_time(Path(sys.argv[1]), "acme"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_brand_is_trained_by_one_at_a_time(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(TrainingFailed, match=rf"acme is being trained by process {other.pid} already"):
                with one_at_a_time(tmp_path, "acme"):
                    pass
            with one_at_a_time(tmp_path, "other"):
                pass
        finally:
            other.kill()
    # One that was killed holds nothing.
    with one_at_a_time(tmp_path, "acme"):
        pass


def child(code: str, *arguments: object) -> str:
    """What a process of its own writes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
