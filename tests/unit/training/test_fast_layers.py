"""The faster parts of training compute what the plain ones compute."""

import json
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from configs.training import Recipe, Sft
from tests.unit.training.test_long_runs import different_examples, recipe
from training.errors import RecipeInvalid
from training.recipes import sft
from training.testing import TINY_RECIPE, tiny_job

FAST = {
    "packing": True,
    "weights": "bfloat16",
    "attention": "packed",
    "fused_lora": True,
    "fused_layers": True,
}


def adapted(base: Path, dropout: float = 0.0) -> Any:
    """The tiny base with an adapter whose weights are all random, so that each part of it counts."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = get_peft_model(plain, LoraConfig(r=4, lora_alpha=12, lora_dropout=dropout, target_modules="all-linear"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def gradients(model: Any, tokens: Any) -> tuple[Any, dict[str, Any]]:
    model(input_ids=tokens, labels=tokens).loss.backward()
    return model(input_ids=tokens).logits, {
        name: one.grad for name, one in model.named_parameters() if one.requires_grad
    }


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_fused_adapter_has_the_outputs_and_gradients_of_pefts(base: Path, checkpointing: bool) -> None:
    import torch

    from training.trainer.fast_layers import fuse_lora

    model = adapted(base)
    tokens = torch.arange(3, 27).view(2, 12)
    expected, wanted = gradients(deepcopy(model), tokens)
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
        model.train()
    assert fuse_lora(model) == 7
    found, got = gradients(model, tokens)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert set(got) == set(wanted)
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-3)


def test_a_fused_adapter_that_is_off_is_the_base(base: Path) -> None:
    import torch

    from training.trainer.fast_layers import fuse_lora

    model = adapted(base).eval()
    tokens = torch.arange(3, 15).view(1, 12)
    with torch.no_grad(), model.disable_adapter():
        without = model(input_ids=tokens).logits
    fuse_lora(model)
    with torch.no_grad():
        on = model(input_ids=tokens).logits
        with model.disable_adapter():
            torch.testing.assert_close(model(input_ids=tokens).logits, without)
        assert not torch.allclose(on, without, atol=1e-3)
        model.merge_adapter()
        torch.testing.assert_close(model(input_ids=tokens).logits, on, atol=1e-4, rtol=1e-3)


def test_an_adapter_with_dropout_stays_as_it_is(base: Path) -> None:
    from training.trainer.fast_layers import fuse_lora

    assert fuse_lora(adapted(base, dropout=0.1)) == 0


def test_packed_attention_is_given_the_bounds_of_each_example(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel runs on a GPU only: one of the same contract stands in for it, so that what it is given shows.
    import torch
    from transformers import AutoModelForCausalLM

    from training.trainer import fast_layers

    def kernel(q: Any, k: Any, v: Any, starts: Any, ends: Any, longest: int, _: int, *rest: Any, scale: float) -> Any:
        assert rest == (0.0, True, False)
        assert longest == int(starts.diff().max()) and torch.equal(starts, ends)
        out = []
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            one, keys, values = (x[start:end].transpose(0, 1)[None] for x in (q, k, v))
            seen = torch.nn.functional.scaled_dot_product_attention(
                one, keys, values, is_causal=True, scale=scale, enable_gqa=True
            )
            out.append(seen[0].transpose(0, 1))
        return (torch.cat(out),)

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", kernel)
    packed = AutoModelForCausalLM.from_pretrained(base, attn_implementation=fast_layers.register_packed_attention())
    plain = AutoModelForCausalLM.from_pretrained(base)
    first, second = torch.arange(5, 12)[None], torch.arange(40, 45)[None]
    bounds = torch.tensor([0, 7, 12], dtype=torch.int32)
    place = torch.cat([torch.arange(7), torch.arange(5)])[None]
    row = torch.cat([first, second], dim=1)
    both = packed.train()(
        input_ids=row, position_ids=place, cu_seq_lens_q=bounds, cu_seq_lens_k=bounds, max_length_q=7, max_length_k=7
    ).logits
    alone = torch.cat([plain(input_ids=one).logits for one in (first, second)], dim=1)
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-4)

    # Without bounds the examples would see each other; with a mask, or when nothing is learnt, it is plain attention.
    with pytest.raises(RecipeInvalid, match="without their bounds"):
        packed(input_ids=row, position_ids=place)
    mask = torch.tensor([[1] * 12, [1] * 8 + [0] * 4])
    given = {"input_ids": row.expand(2, -1), "attention_mask": mask}
    torch.testing.assert_close(packed.eval()(**given).logits[mask > 0], plain(**given).logits[mask > 0])
    torch.testing.assert_close(packed(input_ids=row).logits, plain(input_ids=row).logits)
    drawn = {"attention_mask": torch.ones_like(first), "max_new_tokens": 6, "do_sample": False}
    assert torch.equal(packed.generate(first, **drawn), plain.generate(first, **drawn))


def test_the_collator_gives_the_bounds_that_packed_attention_needs() -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    rows = [{"input_ids": [1, 2, 3, 4, 5], "seq_lengths": [3, 2]}, {"input_ids": [6, 7], "seq_lengths": [2]}]
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows)
    assert batch["cu_seq_lens_q"].tolist() == [0, 3, 5, 7] and batch["max_length_q"] == 3


def test_the_settings_of_a_gpu_fall_back_on_a_cpu(base: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    examples = different_examples()
    plain = tiny_job(base, tmp_path / "plain", recipe(packing=True, max_steps=4))
    fast = tiny_job(base, tmp_path / "fast", recipe(**FAST, max_steps=4))
    one, other = (sft.main(replace(job, examples=examples)) for job in (plain, fast))
    assert one.losses == other.losses
    rows = [json.loads(line) for line in (other.run / "losses.jsonl").read_text().splitlines()]
    assert [row["tokens"] for row in rows] == sorted(row["tokens"] for row in rows)


def test_checkpointing_changes_no_loss(base: Path, tmp_path: Path) -> None:
    jobs = [tiny_job(base, tmp_path / str(on), recipe(gradient_checkpointing=on, max_steps=4)) for on in (False, True)]
    one, other = (sft.main(job).losses for job in jobs)
    assert other == pytest.approx(one, abs=1e-6)


def test_settings_that_do_not_fit_together_are_named() -> None:
    values = TINY_RECIPE.model_dump()
    with pytest.raises(ValidationError, match=r"set lora\.lora_dropout to 0"):
        Recipe.model_validate(values | {"lora": {"lora_dropout": 0.1}, "sft": {"fused_lora": True}})
    with pytest.raises(ValidationError, match="small steps are lost"):
        Recipe.model_validate(values | {"method": "full", "sft": {"weights": "bfloat16"}})


def test_settings_at_their_defaults_leave_the_digest_as_it_was() -> None:
    held = TINY_RECIPE.model_dump()["sft"]
    assert {"weights", "attention", "fused_lora", "fused_layers", "gradient_checkpointing"} <= held.keys()
    for key, value in (("weights", "bfloat16"), ("attention", "sdpa"), ("fused_lora", True), ("fused_layers", True)):
        default = Sft.model_fields[key].default
        assert recipe(**{key: default}).sha256() == TINY_RECIPE.sha256() != recipe(**{key: value}).sha256()


def test_fused_layers_name_what_is_missing(base: Path) -> None:
    import importlib.util

    from training.trainer.fast_layers import fuse_layers

    if importlib.util.find_spec("liger_kernel"):
        pytest.skip("liger-kernel is there")
    with pytest.raises(RecipeInvalid, match="needs liger-kernel"):
        fuse_layers(adapted(base))


def test_fused_layers_stand_where_norms_and_gates_stood(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stand-ins of liger-kernel's contract, which runs on a GPU only; each counts how often it was asked.
    import torch
    from transformers.models.llama import modeling_llama

    from training.trainer.fast_layers import fuse_layers

    asked: list[str] = []

    class Norm:
        @staticmethod
        def apply(x: Any, weight: Any, eps: float, offset: float, casting: str, in_place: bool) -> Any:
            asked.append("norm")
            assert (offset, casting, in_place) == (0.0, "llama", False)
            return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)

    class Gate:
        @staticmethod
        def apply(gate: Any, up: Any) -> Any:
            asked.append("gate")
            return torch.nn.functional.silu(gate) * up

    ops, rope = ModuleType("liger_kernel.ops"), ModuleType("liger_kernel.transformers.rope")
    ops.LigerRMSNormFunction, ops.LigerSiLUMulFunction = Norm, Gate  # type: ignore[attr-defined]
    rope.liger_rotary_pos_emb = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel.ops", ops)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers.rope", rope)
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", modeling_llama.apply_rotary_pos_emb)

    model = adapted(base)
    tokens = torch.arange(3, 27).view(2, 12)
    expected = model(input_ids=tokens).logits
    assert fuse_layers(model) == 4  # two norms and the gate of its one layer, and the last norm
    torch.testing.assert_close(model(input_ids=tokens).logits, expected, atol=1e-5, rtol=1e-4)
    assert sorted(asked) == ["gate", "norm", "norm", "norm"]

    model.config.hidden_act = "gelu"
    with pytest.raises(RecipeInvalid, match="with gelu"):
        fuse_layers(model)
