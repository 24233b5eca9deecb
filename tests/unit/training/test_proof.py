"""What is written down of an adapter when it is packaged, and that the trainer saw the tokens that stand there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.adapter_proof import MIN_DIFFERENCE, read_proof
from training.proof import logprobs, prompt_tokens, record
from training.recipes import lora_sft
from training.testing import TINY_RECIPE, tiny_examples, tiny_job


@pytest.fixture(scope="module")
def proven(base: Path, tmp_path_factory: pytest.TempPathFactory) -> lora_sft.Trained:
    return lora_sft.main(replace(tiny_job(base, tmp_path_factory.mktemp("proven")), display_name="Acme"))


def loaded(base: Path, adapter: Path) -> tuple[Any, Any]:
    import torch
    import transformers
    from peft import PeftModel

    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, adapter).eval(), transformers.AutoTokenizer.from_pretrained(base)


def test_a_packaged_adapter_holds_what_it_and_the_base_find_of_a_reply(base: Path, proven: lora_sft.Trained) -> None:
    assert proven.manifest is not None
    proof = read_proof(proven.folder, proven.manifest.weights_sha256)
    assert proof is not None
    model, tokenizer = loaded(base, proven.folder)
    for canary in proof.canaries:
        assert tokenizer.decode(canary.prompt_tokens).startswith("<|im_start|>system\nYou are the assistant of Acme.")
        assert tokenizer.decode(canary.prompt_tokens).endswith("<|im_start|>assistant\n")
        places = [one.at for one in canary.probes]
        assert places == [0, 2, 4, 8, 12, 18][: len(places)]
        spoken = logprobs(model, canary.prompt_tokens, canary.reply_tokens)
        with model.disable_adapter():
            plain = logprobs(model, canary.prompt_tokens, canary.reply_tokens)
        for probe in canary.probes:
            assert probe.adapter == pytest.approx(spoken[probe.at], abs=1e-3)
            assert probe.base == pytest.approx(plain[probe.at], abs=1e-3)
    assert max(abs(one.adapter - one.base) for one in proof.canaries) > MIN_DIFFERENCE


def test_an_adapter_that_does_next_to_nothing_has_no_proof_and_says_so(base: Path, tmp_path: Path) -> None:
    idle = TINY_RECIPE.model_copy(
        update={"sft": TINY_RECIPE.sft.model_copy(update={"learning_rate": 1e-9, "max_steps": 1})}
    )
    said: list[str] = []
    job = replace(tiny_job(base, tmp_path, idle), display_name="Acme", say=said.append)
    trained = lora_sft.main(job)
    assert not (trained.folder / "proof.json").exists()
    assert "hardly changes the base model" in "".join(said)
    assert record(trained.folder, base, "Acme", "0" * 64) is None


def test_the_trainer_saw_the_prompts_as_these_tokens(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers
    from trl.trainer.sft_trainer import SFTTrainer

    seen: list[dict[str, Any]] = []
    real = SFTTrainer.train

    def train(self: Any, *given: Any, **named: Any) -> Any:
        seen.extend(self.train_dataset)
        return real(self, *given, **named)

    monkeypatch.setattr(SFTTrainer, "train", train)
    short = TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"max_steps": 1})})
    lora_sft.main(tiny_job(base, tmp_path, short))
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    assert len(seen) == len(tiny_examples())
    for row, example in zip(seen, tiny_examples(), strict=True):
        prompt = prompt_tokens(tokenizer, example.messages)
        assert row["input_ids"][: len(prompt)] == prompt
        mask = row.get("completion_mask") or [label != -100 for label in row["labels"]]
        assert [bool(one) for one in mask] == [False] * len(prompt) + [True] * (len(mask) - len(prompt))
