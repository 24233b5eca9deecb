"""The adapters that ship must be what the shipped data, recipe, prompt template and base make."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.adapter_manifest import MAX_BYTES, WEIGHTS_FILE, read_adapter
from configs.training import read_recipe
from retrieval.prompt import template_sha256
from training.base_model import DEFAULT, PACKAGED
from training.conversations import data_sha256, read_conversations
from training.data.general import general_sha256

ROOT = Path(__file__).resolve().parents[2]
RETRAIN = "the shipped adapter no longer matches; train it again with `make adapters`"


@pytest.mark.parametrize("brand", ["velmora", "dicehollow"])
def test_a_shipped_adapter_is_made_from_what_ships_beside_it(brand: str) -> None:
    sample = ROOT / "samples" / brand
    manifest = read_adapter(sample / "adapter", verify=True)
    recipe = read_recipe(ROOT / "configs/training/lora.yaml")
    assert manifest.brand == brand
    own = data_sha256(read_conversations(sample / "conversations.jsonl"))
    assert recipe.data.general is not None
    assert manifest.data_sha256 == general_sha256(own, ROOT / recipe.data.general), RETRAIN
    assert manifest.recipe_sha256 == recipe.sha256(), RETRAIN
    assert manifest.template_sha256 == template_sha256(), RETRAIN
    assert manifest.base.sha256 == PACKAGED[DEFAULT].tensors_sha256, RETRAIN


@pytest.mark.parametrize("brand", ["velmora", "dicehollow"])
def test_a_shipped_adapter_is_at_most_ten_megabytes_in_bfloat16(brand: str) -> None:
    from configs.safetensors_file import read_header

    weights = ROOT / "samples" / brand / "adapter" / WEIGHTS_FILE
    assert weights.stat().st_size <= MAX_BYTES
    assert "BF16" in str(read_header(weights))
