"""Packing, watching the loss on what is held back, and going on after a crash."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from configs.training import Recipe, Sft
from training.data.split import hold_back
from training.errors import RecipeInvalid
from training.examples.rendering import Example
from training.recipes import sft
from training.runs.folder import last_checkpoint, unfinished
from training.testing import TINY_RECIPE, tiny_examples, tiny_job


def recipe(**sft: object) -> Recipe:
    """The tiny recipe with other settings."""
    return TINY_RECIPE.model_copy(update={"sft": Sft.model_validate({**TINY_RECIPE.sft.model_dump(), **sft})})


def different_examples(count: int = 6) -> tuple[Example, ...]:
    """Examples of unlike length and reply, so that it shows when one is left out or sees another."""
    return tuple(
        replace(one, completion=f"Reply {number} {'and on ' * number}ends.")
        for number, one in enumerate(tiny_examples(count))
    )


def weights(trained: sft.Trained) -> str:
    assert trained.manifest is not None
    return trained.manifest.weights_sha256


def test_packed_examples_share_rows_and_do_not_see_each_other(base: Path, tmp_path: Path) -> None:
    # A learning rate near zero: the first loss is that of the base model over all examples.
    still = {"learning_rate": 1e-9, "max_steps": 1, "max_length": 4096}
    plain = recipe(**still, per_device_train_batch_size=6)
    packed = recipe(**still, per_device_train_batch_size=1, packing=True)
    shown: list[str] = []
    job = replace(tiny_job(base, tmp_path / "plain", plain), examples=different_examples())
    other = replace(tiny_job(base, tmp_path / "packed", packed), examples=different_examples(), say=shown.append)
    assert sft.main(other).losses[0] == pytest.approx(sft.main(job).losses[0], abs=1e-4)
    assert "rows 1 of 6 examples" in " ".join("".join(shown).split())


def test_the_best_state_is_taken_and_training_stops_early(base: Path, tmp_path: Path) -> None:
    settings = {"learning_rate": 0.3, "lr_scheduler_type": "constant", "held_back": 0.5, "evaluate_every": 2}
    job = tiny_job(base, tmp_path / "long", recipe(**settings, patience=2, max_steps=60))
    job = replace(job, examples=different_examples(8))
    trained = sft.main(job)
    watched = {
        row["step"]: row["held_back_loss"]
        for row in map(json.loads, (trained.run / "losses.jsonl").read_text().splitlines())
        if "held_back_loss" in row
    }
    assert trained.metrics["held_back_loss_before"] == pytest.approx(watched.pop(0), abs=1e-4)
    best = min(watched, key=watched.__getitem__)
    assert trained.metrics["best_step"] == best
    assert trained.metrics["held_back_loss"] == pytest.approx(watched[best], abs=1e-4)
    assert len(trained.losses) == best + 4 < 60
    # Weights of the best step, not of the last: the same as of a run that ends there.
    short = replace(tiny_job(base, tmp_path / "short", recipe(**settings, max_steps=best)), examples=job.examples)
    assert weights(sft.main(short)) == weights(trained)


def test_conversations_are_held_back_whole() -> None:
    examples = [replace(one, id=f"{one.id.split('/')[0]}/{turn}/0") for one in tiny_examples(40) for turn in (1, 2, 3)]
    learnt, watched = hold_back(examples, 0.3, seed=7)
    sides = [{one.id.split("/")[0] for one in side} for side in (learnt, watched)]
    assert not sides[0] & sides[1]
    assert 4 <= len(sides[1]) <= 20
    assert hold_back(examples, 0.0, seed=7) == (examples, [])


def test_all_weights_can_be_trained_to_compare_with(base: Path, tmp_path: Path) -> None:
    job = tiny_job(base, tmp_path, TINY_RECIPE.model_copy(update={"method": "full"}))
    trained = sft.main(job)
    assert trained.manifest is None
    assert not job.out.exists()
    assert trained.losses[-1] < trained.losses[0] - 0.2
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(trained.folder)
    assert model.num_parameters() > 10_000
    assert json.loads((trained.folder / "metrics.json").read_text())["steps"] == 30


def test_four_bits_without_a_gpu_are_refused(base: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    with pytest.raises(RecipeInvalid, match="a GPU is needed"):
        sft.main(tiny_job(base, tmp_path, TINY_RECIPE.model_copy(update={"method": "qlora"})))


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.unit.training.test_long_runs import different_examples, recipe
from training.recipes import sft
from training.testing import tiny_job

def kill(report):
    if report.loss is not None and report.step == 12:
        os.kill(os.getpid(), signal.SIGKILL)

job = tiny_job(Path(sys.argv[1]), Path(sys.argv[2]), recipe(checkpoint_every=5, max_steps=20))
sft.main(replace(job, examples=different_examples(), progress=kill))
"""


def test_a_run_that_was_killed_goes_on_with_the_same_losses(base: Path, tmp_path: Path) -> None:
    whole = replace(tiny_job(base, tmp_path / "whole", recipe(max_steps=20)), examples=different_examples())
    expected = sft.main(whole)

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(base), str(tmp_path / "cut")]
    died = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()

    job = tiny_job(base, tmp_path / "cut", recipe(checkpoint_every=5, max_steps=20))
    made_of = json.loads(next((tmp_path / "cut" / "runs").glob("*/origin.json")).read_text())
    run = unfinished(job.runs, made_of)
    assert run is not None
    checkpoint = last_checkpoint(run / "trainer")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-10"
    assert unfinished(job.runs, {**made_of, "data_sha256": "0" * 64}) is None

    resumed = sft.main(replace(job, examples=different_examples(), resume=run))
    assert resumed.losses == pytest.approx(expected.losses, abs=1e-6)
    assert weights(resumed) == weights(expected)
    assert resumed.run == run
    # Nothing is left to go on from.
    assert unfinished(job.runs, made_of) is None
    assert not (run / "trainer").exists()


def test_a_checkpoint_that_a_crash_left_half_written_is_passed_over(tmp_path: Path) -> None:
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_st'), (15, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-5"


def test_a_key_that_came_later_counts_where_it_is_set() -> None:
    # That it does not count where it is not set, the manifests of the shipped adapters show.
    assert recipe(packing=False).sha256() == TINY_RECIPE.sha256()
    assert recipe(packing=True).sha256() != TINY_RECIPE.sha256()
    assert recipe(checkpoint_every=5).sha256() != TINY_RECIPE.sha256()


def test_patience_without_anything_to_watch_is_refused() -> None:
    with pytest.raises(ValueError, match="held_back"):
        recipe(patience=2)
