"""What holds an adapter to its base on general conversations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pydantic import ValidationError

from configs.training import Recipe
from retrieval.prompt import Message
from training.examples.rendering import Example
from training.recipes import sft
from training.testing import TINY_RECIPE, tiny_base, tiny_examples, tiny_job
from training.trainer.rehearsal import Rehearsal

GENERAL_REPLY = "The sun is a star, and the moon goes round the earth in a month."


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    tiny_base(folder)
    return folder


def general(count: int = 5) -> tuple[Example, ...]:
    return tuple(
        replace(
            one,
            id=f"general-{one.id}",
            kind="general",
            messages=(Message("user", f"what is {one.id}?"),),
            completion=GENERAL_REPLY,
        )
        for one in tiny_examples(count)
    )


def held(weight: float, tmp_path: Path) -> Recipe:
    path = tmp_path / "general.jsonl"
    data = TINY_RECIPE.data.model_copy(update={"general": path, "general_share": 0.5})
    sft = TINY_RECIPE.sft.model_copy(update={"distillation": weight})
    return TINY_RECIPE.model_copy(update={"data": data, "sft": sft})


def train(base: Path, folder: Path, recipe: Recipe) -> sft.Trained:
    examples = (*tiny_examples(), *general(4))
    return sft.main(replace(tiny_job(base, folder, recipe), examples=examples))


def apart(base: Path, adapter: Path) -> float:
    """How far the adapter moved the odds on general conversations."""
    from peft import PeftModel

    plain: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(plain, adapter).eval()
    with torch.no_grad():
        return float(Rehearsal(general(), tokenizer, batch=5, seed=1).loss(model, model, 0))


def test_an_adapter_that_is_held_moves_the_base_less(base: Path, tmp_path: Path) -> None:
    free = train(base, tmp_path / "free", TINY_RECIPE.model_copy(update={"data": held(0, tmp_path).data}))
    held_tight = train(base, tmp_path / "held", held(20, tmp_path))
    alone = sft.main(tiny_job(base, tmp_path / "alone"))
    # Learning the conversations moves it too: towards them, and not to the base.
    assert apart(base, held_tight.folder) < 0.3 * apart(base, alone.folder)
    assert apart(base, held_tight.folder) < 0.3 * apart(base, free.folder)
    assert held_tight.metrics["examples"] == 4


def test_what_is_held_is_not_learnt_and_the_voice_is(base: Path, tmp_path: Path) -> None:
    trained = train(base, tmp_path, held(1, tmp_path))
    # Random weights of one layer learn little in thirty steps, held or not.
    assert trained.losses[-1] < trained.losses[0] - 0.15


def test_a_new_adapter_is_its_base(base: Path) -> None:
    from peft import LoraConfig, get_peft_model

    plain: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    loss = Rehearsal(general(), tokenizer, batch=2, seed=1).loss(model, model, 0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_each_conversation_comes_once_before_any_comes_again(base: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    rehearsal = Rehearsal(general(), tokenizer, batch=2, seed=1)
    drawn = [tuple(row) for turn in range(5) for row in rehearsal._drawn(turn)]
    assert len(set(drawn[:5])) == len(set(drawn[5:])) == 5
    assert drawn[:5] != drawn[5:]
    again = Rehearsal(general(), tokenizer, batch=2, seed=1)
    assert [tuple(row) for row in again._drawn(3)] == drawn[6:8]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sft": {"distillation": 1}}, "needs general conversations"),
        ({"method": "full", "sft": {"distillation": 1}}, "method full has none"),
    ],
)
def test_a_recipe_that_cannot_be_held_says_why(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Recipe.model_validate({"name": "tiny", **values})
