"""What is written down of an adapter when it is packaged, and that the trainer saw the tokens that stand there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.adapter_manifest import read_adapter
from configs.adapter_proof import MIN_DIFFERENCE, AdapterProof, Canary, CanaryMessage, Probe, read_proof
from configs.training import Recipe
from training.proof import prompt_tokens, record
from training.recipes import sft
from training.runs import adapter_run
from training.testing import TINY_RECIPE, tiny_examples, tiny_job

SHIPPED = {"velmora": "Maison Velmora", "dicehollow": "Dicehollow Games"}
PACKAGED = Path(os.environ.get("BRANDVOICE_HOME", "var")) / "models/smollm2-135m-instruct"


@pytest.mark.parametrize("brand", sorted(SHIPPED))
def test_the_proof_of_a_shipped_adapter_is_what_it_does_today(brand: str) -> None:
    # Looked for now and not when the tests are collected: the end-to-end tests, which come first, fetch it.
    if not PACKAGED.is_dir():
        pytest.skip(f"the packaged base model is not in {PACKAGED}; make demo fetches it")
    folder = Path("samples") / brand / "adapter"
    manifest = read_adapter(folder)
    kept = read_proof(folder, manifest.weights_sha256)
    made = record(folder, PACKAGED, SHIPPED[brand], manifest.weights_sha256)
    assert kept is not None
    assert made is not None
    for old, new in zip(kept.canaries, made.canaries, strict=True):
        assert (old.messages, old.prompt_tokens, old.reply_tokens) == (
            new.messages,
            new.prompt_tokens,
            new.reply_tokens,
        )
        assert old.adapter == pytest.approx(new.adapter, abs=1e-3)
        assert old.base == pytest.approx(new.base, abs=1e-3)
        assert old.adapter - old.base > 2 * MIN_DIFFERENCE


def test_a_proof_is_packaged_beside_the_weights_that_it_is_of(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny base finds nothing likely: what is recorded of it is made up.
    probe = Probe(at=0, adapter=-0.1, base=-2.0)
    canary = Canary(
        messages=(CanaryMessage(role="user", content="Hello?"),), prompt_tokens=(1,), reply_tokens=(2,), probes=(probe,)
    )
    asked: list[tuple[str, str]] = []

    def made_up(adapter: Path, base: Path, display_name: str, weights_sha256: str) -> AdapterProof:
        assert sorted(path.name for path in adapter.iterdir()) == [
            "adapter_config.json",
            "adapter_model.safetensors",
            "manifest.json",
        ]
        asked.append((display_name, weights_sha256))
        return AdapterProof(weights_sha256=weights_sha256, canaries=(canary,))

    monkeypatch.setattr(adapter_run, "record", made_up)
    trained = sft.main(replace(tiny_job(base, tmp_path, brief()), display_name="Acme"))
    assert trained.manifest is not None
    assert asked == [("Acme", trained.manifest.weights_sha256)]
    proof = read_proof(trained.folder, trained.manifest.weights_sha256)
    assert proof is not None
    assert proof.canaries == (canary,)


def brief(**sft: object) -> Recipe:
    """One step."""
    return TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"max_steps": 1, **sft})})


def test_an_adapter_that_does_next_to_nothing_has_no_proof_and_says_so(base: Path, tmp_path: Path) -> None:
    said: list[str] = []
    job = replace(tiny_job(base, tmp_path, brief(learning_rate=1e-9)), display_name="Acme", say=said.append)
    trained = sft.main(job)
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
    sft.main(tiny_job(base, tmp_path, brief()))
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    assert len(seen) == len(tiny_examples())
    for row, example in zip(seen, tiny_examples(), strict=True):
        prompt = prompt_tokens(tokenizer, example.messages)
        assert row["input_ids"][: len(prompt)] == prompt
        mask = row.get("completion_mask") or [label != -100 for label in row["labels"]]
        assert [bool(one) for one in mask] == [False] * len(prompt) + [True] * (len(mask) - len(prompt))
