"""What makes training fast on a GPU: attention over packed rows, and layers that touch memory fewer times.

Each part computes what the plain layer computes, up to rounding, and is switched by a key of the recipe. Measured by
`benchmarks/training_speed.py`. Sources: Hu et al., "LoRA", 2021; Dao, "FlashAttention-2", 2023; the kernels of norms,
gates and rotations are those of liger-kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from training.errors import RecipeInvalid

PACKED = "brandvoice_packed"
"""The attention's name in transformers."""
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types whose norms and gates are what the fused layers compute."""


def register_packed_attention() -> str:
    """Make flash attention over packed rows known to transformers; its name."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, _packed_attention)
    AttentionMaskInterface.register(PACKED, _packed_mask)
    return PACKED


def _packed_mask(*, q_length: int, kv_length: int, attention_mask: Any = None, **rest: Any) -> Any:
    """No mask for a packed row, whose bounds the kernel is given: a mask of 32,768 tokens would take 1 GB."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None and q_length == kv_length:
        return None
    return sdpa_mask(q_length=q_length, kv_length=kv_length, attention_mask=attention_mask, **rest)


def _packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each example to itself: `(1, heads, tokens, width)` in, `(1, tokens, heads, width)` out.

    Whatever is no packed row (an evaluation, a generation) goes to the attention of PyTorch, as without this.

    Raises:
        RecipeInvalid: A packed row came without its bounds; its examples would see each other.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if cu_seq_lens_q is None or max_length_q is None:
        if module.training and attention_mask is None:
            raise RecipeInvalid("the rows of a batch came without their bounds; set sft.attention to sdpa")
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return plain
    dtype = _computes_in(query)
    rows = [one[0].transpose(0, 1).to(dtype) for one in (query, key, value)]
    bounds = cu_seq_lens_q.to(query.device)
    # The operator that `torch.nn.attention.varlen` calls: that function's arguments differ between versions.
    longest = int(max_length_q)
    seen = torch.ops.aten._flash_attention_forward(
        *rows, bounds, bounds, longest, longest, 0.0, True, False, scale=scaling
    )
    return seen[0].unsqueeze(0), None


class _LoraProduct(torch.autograd.Function):
    """`x W' + scale (x A') B'` for a frozen W, with two products more than without the adapter and no copy of x or y.

    PEFT casts x to float32, multiplies twice, scales and adds in passes of their own, and keeps what each one needs.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        dtype = _computes_in(x)
        flat = x.reshape(-1, x.shape[-1]).to(dtype)
        small_a, small_b = a.to(dtype), b.to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            seen = flat @ small_a.t()
            out = nn.functional.linear(flat, weight.to(dtype), None if bias is None else bias.to(dtype))
            out.addmm_(seen, small_b.t(), alpha=scale)
        ctx.save_for_backward(flat, weight, small_a, small_b, seen)
        ctx.scale, ctx.given = scale, x.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, weight, a, b, seen = ctx.saved_tensors
        shape = upstream[0].shape
        grad = upstream[0].reshape(-1, shape[-1]).to(flat.dtype)
        through = (grad @ b) * ctx.scale
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = grad @ weight.to(flat.dtype)
            of_x.addmm_(through, a)
            of_x = of_x.view(*shape[:-1], -1).to(ctx.given)
        of_a = (through.t() @ flat).float()
        of_b = (grad.t() @ seen).float() * ctx.scale
        return of_x, None, None, of_a, of_b, None


def fuse_lora(model: nn.Module) -> int:
    """Let every plain LoRA layer of a PEFT model compute in one step; how many do.

    Layers with dropout, of 4 bits or of another kind than plain LoRA stay as they are, and so does what an adapter that
    is merged or switched off computes.
    """
    from peft.tuners import lora

    fused = 0
    layers: Any = model.modules()
    for layer in layers:
        if isinstance(layer, lora.Linear) and type(layer.base_layer) is nn.Linear and not _special(layer):
            setattr(layer, "forward", _fused_lora(layer, layer.forward))  # noqa: B010  (mypy takes it for a method)
            fused += 1
    return fused


def _special(layer: Any) -> bool:
    names = list(layer.lora_A)
    return (
        len(names) != 1
        or bool(getattr(layer, "lora_variant", None))
        or not isinstance(layer.lora_dropout[names[0]], nn.Identity)
        or layer.lora_A[names[0]].bias is not None
        or layer.lora_B[names[0]].bias is not None
    )


def _fused_lora(layer: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    (name,) = layer.lora_A

    def forward(x: torch.Tensor, *given: Any, **named: Any) -> Any:
        if given or named or layer.disable_adapters or layer.merged or layer.active_adapters != [name]:
            return plain(x, *given, **named)
        base = layer.base_layer
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        return _LoraProduct.apply(x, base.weight, base.bias, a, b, layer.scaling[name])

    return forward


def fuse_layers(model: nn.Module) -> int:
    """Let norms, gates and rotations run as one kernel each; how many layers do.

    Raises:
        RecipeInvalid: liger-kernel is not installed, or the model is of a family whose layers it does not compute.
    """
    try:
        from liger_kernel.ops import LigerRMSNormFunction, LigerSiLUMulFunction
        from liger_kernel.transformers.rope import liger_rotary_pos_emb
    except ImportError as error:
        raise RecipeInvalid(f"sft.fused_layers needs liger-kernel ({error}); install it, or set it to false") from error
    config: Any = model.config
    if config.model_type not in FAMILIES or config.hidden_act != "silu":
        raise RecipeInvalid(
            f"sft.fused_layers knows {', '.join(sorted(FAMILIES))} with silu, the base is {config.model_type} with "
            f"{config.hidden_act}; set it to false"
        )
    fused = 0
    for layer in model.modules():
        kind = type(layer).__name__
        if kind.endswith("RMSNorm"):
            layer.forward = _fused_norm(layer, LigerRMSNormFunction)
        elif kind.endswith("MLP"):
            layer.forward = _fused_gate(layer, LigerSiLUMulFunction)
        else:
            continue
        fused += 1
    _fuse_rotation(model, liger_rotary_pos_emb)
    return fused


def _fused_norm(layer: Any, kernel: Any) -> Callable[[torch.Tensor], Any]:
    def forward(x: torch.Tensor) -> Any:
        # Not in place: the gradient that comes in may be another's too.
        return kernel.apply(x, layer.weight, layer.variance_epsilon, 0.0, "llama", False)

    return forward


def _fused_gate(layer: Any, kernel: Any) -> Callable[[torch.Tensor], Any]:
    def forward(x: torch.Tensor) -> Any:
        return layer.down_proj(kernel.apply(layer.gate_proj(x), layer.up_proj(x)))

    return forward


def _fuse_rotation(model: nn.Module, kernel: Callable[..., Any]) -> None:
    """The rotation is a function of the model's module: it is exchanged there, for what is being trained only."""
    base = next(one for one in model.modules() if hasattr(one, "rotary_emb"))
    module: Any = sys.modules[type(base).__module__]
    plain = module.apply_rotary_pos_emb
    if getattr(plain, "fused", False):
        return

    def rotate(q: torch.Tensor, k: torch.Tensor, *angles: torch.Tensor, **named: Any) -> Any:
        if q.is_cuda and q.requires_grad and len(angles) == 2 and not named:
            return kernel(q, k, *angles)
        return plain(q, k, *angles, **named)

    rotate.fused = True  # type: ignore[attr-defined]
    module.apply_rotary_pos_emb = rotate


def _computes_in(x: torch.Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
