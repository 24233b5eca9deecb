"""A base model in memory, with or without an adapter: how likely it finds text, and what it replies."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Ids = Sequence[int]
TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 16384}
"""Of a batch with its padding: the logits of 1,024 tokens and 50,000 pieces take 200 MB."""
REPLIES_AT_ONCE = {"cpu": 16, "cuda": 64}
_ROOM = 2 * 2**30
"""Bytes of the card beyond twice the weights: for logits and the cache of a batch."""
REPETITION_PENALTY = 1.05
"""As service samples; without it a small model's greedy replies turn in circles."""


def untold(done: int) -> None:
    """Tell nobody how many are done."""
    del done


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Token ids with continuations that do not see one another."""

    prefix: Ids
    continuations: Sequence[Ids]

    def __len__(self) -> int:
        return len(self.prefix) + sum(len(one) for one in self.continuations)


def pick_device(base: Path, asked: str | None = None) -> str:
    """The device that was asked for; else the GPU where one has room for the model, else the CPU.

    Args:
        base: Folder with the weights as safetensors.
        asked: `cpu` or `cuda`.
    """
    import torch

    if asked is not None:
        return asked
    if not torch.cuda.is_available():
        return "cpu"
    free, _ = torch.cuda.mem_get_info()
    return "cuda" if free > 2 * sum(path.stat().st_size for path in base.glob("*.safetensors")) + _ROOM else "cpu"


def load(base: Path, adapter: Path | None, device: str) -> tuple[Any, Any]:
    """The model in evaluation mode and its tokenizer: float32 on a CPU, as it is stored on a GPU.

    Args:
        base: In Hugging Face layout.
        adapter: A LoRA adapter as PEFT keeps it.
        device: `cpu` or `cuda`.
    """
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    # What loads weights draws bars of its own, which no switch turns off everywhere.
    with redirect_stderr(io.StringIO()):
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.float32 if device == "cpu" else "auto", attn_implementation="sdpa"
        )
        if adapter is not None:
            model = with_adapter(model, adapter)
    return model.to(device).eval(), tokenizer


def with_adapter(model: Any, adapter: Path) -> Any:
    """The model with an adapter put on; the one that was given is changed."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, adapter).eval()


def mean_logprobs(model: Any, rows: Sequence[Prefixed], tell: Callable[[int], object] = untold) -> list[list[float]]:
    """How likely each continuation is after its prefix, a token on the mean, in nats.

    The continuations of one prefix share one pass: a mask keeps each from seeing the others, and each takes its
    positions from where the prefix ends.

    Args:
        model: Of transformers, with `sdpa` or `eager` attention.
        rows: No prefix and no continuation is empty.
        tell: Called with how many rows are done.

    Returns:
        For each row, in order, a value for each continuation.
    """
    import torch

    found: list[list[float]] = [[] for _ in rows]
    done = 0
    for places in _batches([len(one) for one in rows], TOKENS_AT_ONCE[model.device.type]):
        batch = [rows[place] for place in places]
        width = max(len(row) for row in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        positions = torch.zeros(len(batch), width, dtype=torch.long)
        # Padding sees itself: a row of a softmax that sees nothing is not a number.
        seen = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)
        for number, row in enumerate(batch):
            _lay(row, ids[number], positions[number], seen[number])
        mask = torch.zeros(len(batch), 1, width, width, dtype=model.dtype)
        mask.masked_fill_(~seen[:, None], torch.finfo(model.dtype).min)
        with torch.inference_mode():
            logits = model(
                input_ids=ids.to(model.device),
                position_ids=positions.to(model.device),
                attention_mask=mask.to(model.device),
                use_cache=False,
            ).logits
            for number, (place, row) in enumerate(zip(places, batch, strict=True)):
                found[place] = list(_read(logits[number], row))
        done += len(batch)
        tell(done)
    return found


def greedy(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, max_new_tokens: int, tell: Callable[[int], object] = untold
) -> list[list[int]]:
    """Greedy replies as token ids, without what comes after their end.

    Args:
        model: Of transformers.
        tokenizer: With a chat template; turned to pad on the left.
        prompts: Each the only message of a chat.
        max_new_tokens: Longest reply.
        tell: Called with how many replies are done.
    """
    import torch

    tokenizer.padding_side = "left"
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": one}], tokenize=False, add_generation_prompt=True)
        for one in prompts
    ]
    ends = _ends(model)
    order = sorted(range(len(chats)), key=lambda place: -len(chats[place]))
    replies: list[list[int]] = [[] for _ in chats]
    size = REPLIES_AT_ONCE[model.device.type]
    for start in range(0, len(order), size):
        places = order[start : start + size]
        inputs = tokenizer(
            [chats[place] for place in places], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                repetition_penalty=REPETITION_PENALTY,
                pad_token_id=tokenizer.pad_token_id,
            )
        for place, made in zip(places, out[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            end = next((number for number, token in enumerate(made) if token in ends), len(made))
            replies[place] = made[:end]
        tell(start + len(places))
    return replies


def _ends(model: Any) -> frozenset[int]:
    end = model.generation_config.eos_token_id
    return frozenset(end if isinstance(end, list) else [end])


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Places of like lengths, longest first, so many that they fit with their padding."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        size = max(1, tokens // lengths[order[start]])
        yield order[start : start + size]
        start += size


def _lay(row: Prefixed, ids: Any, positions: Any, seen: Any) -> None:
    """Write one row into its place of a batch."""
    import torch

    start = len(row.prefix)
    ids[:start] = torch.tensor(row.prefix)
    positions[:start] = torch.arange(start)
    seen[:start, :start] = torch.ones(start, start, dtype=torch.bool).tril()
    at = start
    for one in row.continuations:
        end = at + len(one)
        ids[at:end] = torch.tensor(one)
        positions[at:end] = torch.arange(start, start + len(one))
        seen[at:end, :start] = True
        seen[at:end, at:end] = torch.ones(len(one), len(one), dtype=torch.bool).tril()
        at = end


def _read(logits: Any, row: Prefixed) -> Iterator[float]:
    """Mean log-probability of each continuation; the last token of the prefix tells of the first of each."""
    import torch

    at = len(row.prefix)
    for one in row.continuations:
        told_by = [len(row.prefix) - 1, *range(at, at + len(one) - 1)]
        loss = torch.nn.functional.cross_entropy(logits[told_by].float(), torch.tensor(one, device=logits.device))
        yield -float(loss)
        at += len(one)
