"""An adapter of which less is kept lies on the way back to its base."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.training import DpoRecipe, Recipe
from training.recipes import sft
from training.testing import TINY_DPO, TINY_RECIPE, tiny_job


def test_what_is_kept_is_that_share_of_what_was_learnt(base: Path, tmp_path: Path, trained: sft.Trained) -> None:
    from safetensors.torch import load_file

    recipe = TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"strength": 0.75})})
    weaker = sft.main(tiny_job(base, tmp_path, recipe))
    assert weaker.losses == pytest.approx(trained.losses, rel=1e-4), "the training itself is the same"
    whole, kept = (load_file(one.folder / "adapter_model.safetensors") for one in (trained, weaker))
    assert whole.keys() == kept.keys()
    for name, weights in whole.items():
        share = 0.75 if ".lora_B." in name else 1.0
        # Kept in bfloat16, which has eight bits.
        assert (kept[name].float() - share * weights.float()).abs().max() <= weights.float().abs().max() * 2**-8
    assert weaker.manifest is not None
    assert trained.manifest is not None
    assert weaker.manifest.recipe_sha256 != trained.manifest.recipe_sha256


def test_a_recipe_without_it_keeps_its_digest_and_keeps_all() -> None:
    assert TINY_RECIPE.sft.strength == 1.0
    same = TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"strength": 1.0})})
    assert same.sha256() == TINY_RECIPE.sha256()


def test_where_there_is_no_adapter_of_its_own_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="method full has none"):
        Recipe.model_validate({"name": "tiny", "method": "full", "sft": {"strength": 0.8}})
    values = TINY_DPO.model_dump()
    with pytest.raises(ValidationError, match="strength"):
        DpoRecipe.model_validate(values | {"dpo": values["dpo"] | {"strength": 0.8}})
