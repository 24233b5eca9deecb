import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.adapter_manifest import read_adapter
from configs.base_manifest import read_base
from training.errors import RecipeInvalid, TrainingFailed
from training.progress import Report
from training.recipes import sft
from training.runs.packaging import Origin, adapter_matches
from training.testing import TINY_RECIPE, tiny_examples, tiny_job


def test_training_lowers_the_loss_and_leaves_three_files(trained: sft.Trained) -> None:
    assert trained.losses[-1] < trained.losses[0] - 0.2
    assert sorted(path.name for path in trained.folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    assert read_adapter(trained.folder) == trained.manifest


def test_the_run_keeps_recipe_losses_and_plot(trained: sft.Trained) -> None:
    rows = [json.loads(line) for line in (trained.run / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert [row["loss"] for row in rows] == list(trained.losses)
    assert json.loads((trained.run / "recipe.json").read_text())["lora"]["r"] == 4
    assert (trained.run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_losses_and_weights(base: Path, tmp_path: Path, trained: sft.Trained) -> None:
    again = sft.main(tiny_job(base, tmp_path))
    assert again.losses == pytest.approx(trained.losses, rel=1e-4)
    assert again.manifest is not None
    assert trained.manifest is not None
    assert again.manifest.weights_sha256 == trained.manifest.weights_sha256


def test_it_goes_on_from_a_version(base: Path, tmp_path: Path, trained: sft.Trained) -> None:
    still = TINY_RECIPE.model_copy(
        update={"sft": TINY_RECIPE.sft.model_copy(update={"max_steps": 1, "learning_rate": 1e-9})}
    )
    again = sft.main(replace(tiny_job(base, tmp_path, still), start=trained.folder))
    assert again.manifest is not None
    assert trained.manifest is not None
    # A rate near zero leaves the weights as they were: it is that version that was trained on.
    assert again.manifest.weights_sha256 == trained.manifest.weights_sha256
    assert again.losses[0] < trained.losses[0] - 0.2


def test_the_loss_counts_on_the_reply_alone(base: Path, tmp_path: Path) -> None:
    # A learning rate near zero leaves the model at random guesses, whatever the prompt: -ln(1 / 259) a token.
    recipe = TINY_RECIPE.model_copy(
        update={"sft": TINY_RECIPE.sft.model_copy(update={"max_steps": 1, "learning_rate": 1e-9})}
    )
    long_prompt = tuple(replace(one, completion="ok") for one in tiny_examples())
    trained = sft.main(replace(tiny_job(base, tmp_path, recipe), examples=long_prompt))
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    losses = [reply_loss(model, tokenizer, one) for one in long_prompt]
    assert min(losses) - 1e-3 <= trained.losses[0] <= max(losses) + 1e-3
    assert trained.losses[0] != pytest.approx(math.log(259), abs=1e-4)


def reply_loss(model: Any, tokenizer: Any, example: Any) -> float:
    """Mean loss over the reply with its end, computed by hand from the ids that service would send."""
    import torch

    messages = [{"role": one.role, "content": one.content} for one in example.messages]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before = tokenizer(prompt)["input_ids"]
    reply = tokenizer(f"{example.completion}<|im_end|>\n")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([before + reply])).logits[0]
    rows = torch.log_softmax(logits[len(before) - 1 : -1], -1)
    return float(-rows[range(len(reply)), reply].mean())


def test_progress_tells_step_total_loss_and_time_left(base: Path, tmp_path: Path) -> None:
    reports: list[Report] = []
    short = TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"max_steps": 2})})
    sft.main(replace(tiny_job(base, tmp_path, short), progress=reports.append))
    steps = [report for report in reports if report.loss is not None]
    assert [(one.step, one.total) for one in steps] == [(1, 2), (2, 2)]
    assert steps[0].eta_s is not None
    assert steps[1].eta_s == 0


def test_an_adapter_no_longer_matches_once_its_origin_changed(base: Path, trained: sft.Trained) -> None:
    made = Origin.of("acme", read_base(base), TINY_RECIPE, "d" * 64)
    assert adapter_matches(trained.folder, made) == []
    other = Origin.of("acme", read_base(base), TINY_RECIPE.model_copy(update={"name": "other"}), "e" * 64)
    assert adapter_matches(trained.folder, other) == ["data_sha256", "recipe_sha256"]
    changed = replace(made, template_sha256="f" * 64, base=made.base.model_copy(update={"sha256": "0" * 64}))
    assert adapter_matches(trained.folder, changed) == ["base.sha256", "template_sha256"]


def test_a_version_that_exists_is_never_written_over(base: Path, tmp_path: Path) -> None:
    one = tiny_job(base, tmp_path)
    one.out.mkdir(parents=True)
    with pytest.raises(TrainingFailed, match="give another version"):
        sft.main(one)
    assert list(one.out.iterdir()) == []


def test_an_evaluation_that_breaks_leaves_no_adapter(base: Path, tmp_path: Path) -> None:
    def broken(*_: Any) -> dict[str, float]:
        raise TrainingFailed("no")

    one = replace(tiny_job(base, tmp_path), evaluate=broken)
    with pytest.raises(TrainingFailed):
        sft.main(one)
    assert not one.out.parent.exists()


def test_a_disk_that_takes_nothing_is_a_clear_error(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingFailed, match="no run can be kept"):
        sft.main(replace(tiny_job(base, tmp_path), runs=tmp_path / "file" / "runs"))


def test_an_example_that_would_be_cut_is_refused(base: Path, tmp_path: Path) -> None:
    short = TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"max_length": 64})})
    with pytest.raises(RecipeInvalid, match=r"c3/1/0 is \d+ tokens long|c0/1/0 is \d+ tokens long"):
        sft.main(tiny_job(base, tmp_path, short))


def test_examples_of_two_brands_are_refused(base: Path, tmp_path: Path) -> None:
    mixed = (tiny_examples()[0], replace(tiny_examples()[1], brand="other"))
    with pytest.raises(RecipeInvalid, match="one brand"):
        sft.main(replace(tiny_job(base, tmp_path), examples=mixed))
