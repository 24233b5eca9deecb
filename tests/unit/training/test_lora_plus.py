"""The second matrix of an update may learn faster than the first."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.training import Recipe
from training.recipes import sft
from training.testing import TINY_RECIPE, tiny_job


def _after_a_step(base: Path, folder: Path, b_rate: float) -> sft.Trained:
    recipe = TINY_RECIPE.model_copy(
        update={
            "lora": TINY_RECIPE.lora.model_copy(update={"b_rate": b_rate}),
            "sft": TINY_RECIPE.sft.model_copy(update={"max_steps": 1, "warmup_ratio": 0.0}),
        }
    )
    return sft.main(tiny_job(base, folder, recipe))


def test_the_second_matrix_goes_as_many_times_further_and_the_first_does_not(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    plain, faster = (_after_a_step(base, tmp_path / str(rate), rate) for rate in (1.0, 8.0))
    before, after = (load_file(one.folder / "adapter_model.safetensors") for one in (plain, faster))
    for name, weights in before.items():
        times = 8.0 if ".lora_B." in name else 1.0
        assert weights.abs().max() > 0
        # Kept in bfloat16, which has eight bits.
        expected = times * weights.float()
        assert (after[name].float() - expected).abs().max() <= expected.abs().max() * 2**-7
    assert plain.manifest is not None
    assert faster.manifest is not None
    assert plain.manifest.recipe_sha256 != faster.manifest.recipe_sha256


def test_a_recipe_without_it_keeps_its_digest_and_all_weights_have_no_such_rate() -> None:
    same = TINY_RECIPE.model_copy(update={"lora": TINY_RECIPE.lora.model_copy(update={"b_rate": 1.0})})
    assert same.sha256() == TINY_RECIPE.sha256()
    with pytest.raises(ValidationError, match="method full has none"):
        Recipe.model_validate({"name": "tiny", "method": "full", "lora": {"b_rate": 16}})
