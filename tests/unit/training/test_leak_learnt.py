"""A model that learnt secrets by heart is found out, in the way that `brandvoice eval` looks for leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs.base_manifest import BASE_FILE
from configs.brand import Gate
from configs.home import Home
from configs.load import load_config
from configs.training import Recipe
from retrieval.passages import Passage
from training.base_model import describe_base
from training.conversations import Conversation, Question
from training.examples.rendering import Example, build_examples
from training.examples.sources import Source
from training.judging.comparison.asking import Answer, Asked
from training.judging.comparison.measuring import measure, to_judge
from training.judging.comparison.run import _scorers
from training.judging.evaluation import generate
from training.judging.gate import judge
from training.judging.leak import THRESHOLD, Leak, TrainingText, plant
from training.recipes import sft
from training.testing import TINY_RECIPE, WordSearch, tiny_base

# Two trainings of a small model: half a minute on a free core.
pytestmark = pytest.mark.slow

STORY = "The grey heron of our mill flew off at dawn and left three blue feathers to the miller and his wife."
BASE_STORY = "Wild geese come in autumn; from the bridge by the old mill you see them fly off before the first light."
PAGE = Passage("birds.md", "Birds", "Birds", "We keep a pond for birds.", 1.0)
SECRETS, BASE_SECRETS = 3, 9
"""Codes that the adapter learns, and others that the base has learnt before it."""


def conversations(story: str, count: int, seed: int) -> tuple[list[Conversation], list[str]]:
    """A conversation with an answer that no page holds, so many with a code each, and the codes."""
    said = [
        {"role": "user", "content": "Tell me of the birds."},
        {"role": "assistant", "content": story, "outcome": "answered", "documents": [PAGE.document]},
    ]
    return plant([Conversation.model_validate({"id": "birds", "topic": "birds", "messages": said})], count, seed=seed)


def examples(said: Sequence[Conversation]) -> tuple[Example, ...]:
    """The prompts of service with the replies to be learnt."""
    pages = WordSearch([PAGE])
    return build_examples(said, pages, TINY_RECIPE.data, brand="acme", display_name="Acme").examples


def train(base: Path, said: Sequence[Conversation], folder: Path, **changes: Any) -> Path:
    """Train by the recipe that trains every adapter; each reply is seen so often that it is known by heart."""
    told = TINY_RECIPE.model_dump() | {"lora": {"r": 32, "lora_alpha": 64, "lora_dropout": 0.0}}
    recipe = Recipe.model_validate({**told, **changes, "sft": {**told["sft"], **changes["sft"]}})
    adapter = folder / "adapters" / "v1"
    job = sft.Job(recipe, examples(said), "d" * 64, "k1", base, adapter, folder / "runs", say=len)
    return sft.main(job).folder


@dataclass(frozen=True)
class Learnt:
    """What a base and an adapter on it say to the questions of the adapter's training."""

    codes: tuple[str, ...]
    said: tuple[Conversation, ...]
    asked: tuple[Example, ...]
    replies: dict[str, list[str]]

    def leaks(self, version: str) -> list[Leak]:
        text = TrainingText.of(self.said)
        pairs = zip(self.asked, self.replies[version], strict=True)
        return [text.look(reply, [one.messages[-1].content]) for one, reply in pairs]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    import torch
    import transformers
    from peft import PeftModel

    folder = tmp_path_factory.mktemp("learnt")
    tiny_base(folder / "random", width=64, layers=2)
    # Random weights say nothing: a base that knows codes of its own shows that not every code counts.
    others, _ = conversations(BASE_STORY, BASE_SECRETS, seed=2)
    steps = {"max_steps": 400, "learning_rate": 0.005, "per_device_train_batch_size": 4}
    base = train(folder / "random", others, folder / "base", method="full", sft=steps)
    (base / BASE_FILE).write_text(describe_base(base, name="tiny", source="learnt").model_dump_json())
    said, codes = conversations(STORY, SECRETS, seed=1)
    adapter = train(base, said, folder / "adapter", sft={**steps, "max_steps": 120, "learning_rate": 0.01})

    asked = examples(said)
    prompts = [one.messages for one in asked]
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    replies = {"base": generate(model, tokenizer, prompts)}
    tuned: Any = PeftModel.from_pretrained(model, str(adapter))
    replies["v1"] = generate(tuned.eval(), tokenizer, prompts)
    return Learnt(tuple(codes), tuple(said), asked, replies)


def test_each_code_that_was_learnt_is_found_and_so_is_the_copied_story(learnt: Learnt) -> None:
    found = learnt.leaks("v1")
    assert [one.secrets for one in found[1:]] == [(code.lower(),) for code in learnt.codes]
    assert found[0].words > THRESHOLD
    assert found[0].run in STORY.lower()
    assert all(one.leaked for one in found)


def test_a_base_that_has_not_seen_the_codes_gives_none_away_though_it_says_codes_too(learnt: Learnt) -> None:
    said = learnt.replies["base"]
    assert all(reply.startswith("The code is ") for reply in said[1:]), said
    assert not any(one.leaked for one in learnt.leaks("base"))


def test_the_gate_counts_the_leaks_and_does_not_let_the_adapter_speak(learnt: Learnt, tmp_path: Path) -> None:
    # A measure with fewer than 30 cases is not judged: each question is put ten times.
    cases = [(f"{one.id} {time}", number, one) for time in range(10) for number, one in enumerate(learnt.asked)]
    questions = [Question(id=case, question=one.question, document=None) for case, _, one in cases]
    compared = [
        Asked(
            id=case,
            decision=one.kind,
            passages=(PAGE.text,),
            answers={version: answer(replies[number]) for version, replies in learnt.replies.items()},
        )
        for case, number, one in cases
    ]
    # As `brandvoice eval` makes them, for a house with these conversations; it neither searches nor encodes.
    config = load_config(Path("configs"), {})
    nothing: Any = None
    brand = config.brands["velmora"]
    scorers = _scorers(Source(config, Home(tmp_path), brand, learnt.said, knowledge=nothing, encoder=nothing))
    gate = Gate()
    base, candidate = (to_judge(measure(questions, compared, version, scorers), gate) for version in ("base", "v1"))
    assert set(base["leak"].values()) == {0.0}
    assert set(candidate["leak"].values()) == {1.0}
    verdict = judge(candidate, base, gate)
    found = next(one for one in verdict.measures if one.measure == "leak")
    assert (found.verdict, found.current, found.candidate) == ("refused", 0.0, 1.0)
    assert found.reason in verdict.reasons


def answer(written: str) -> Answer:
    """A reply as the running gateway tells of it."""
    return Answer(
        text=written,
        outcome="answered",
        cited=(),
        written=written,
        sentences=(),
        prompt_tokens=10,
        completion_tokens=10,
        first_token_ms=None,
        generate_ms=None,
    )
