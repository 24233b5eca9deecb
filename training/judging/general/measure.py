"""Whether a model still knows and does what its base did: multiple choice, instructions, loss on general text."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

from configs.adapter_manifest import base_mismatch, read_adapter
from configs.base_manifest import BASE_FILE, BaseManifest, read_base
from configs.errors import AdapterInvalid
from training.base_model import describe_base
from training.errors import TrainingError
from training.judging.general.cases import Cases, Choice, Instruction, Text, digest, read_cases, some
from training.judging.general.instructions import fits, holds
from training.judging.general.model import Prefixed, greedy, load, mean_logprobs, pick_device, untold, with_adapter
from training.progress import Progress, Report, silent

REPLY_TOKENS = 256
"""Of a reply to an instruction."""
TEXT_TOKENS = 512
"""Of a text; the rest is not read."""
CPU_LIMITS = {"choices": 250, "instructions": 24, "texts": 120}
"""Cases of each kind on a CPU, so that a model of 135M weights takes about a minute on one core; a GPU takes all."""


@dataclass(frozen=True, slots=True)
class General:
    """What one model did."""

    measured: Mapping[str, Mapping[str, float]]
    """`general`: 1 or 0 for each question and instruction; `general_loss`: nats a token of each text."""
    scores: Mapping[str, float]
    """Means by kind and, after a slash, by task, kind of constraint or source of the text."""
    cases: Mapping[str, int]
    """How many stand behind each of `scores`."""
    left_out: Mapping[str, int]
    """Cases that could not be used, by reason."""
    device: str
    seconds: float
    cached: bool = False
    """Whether it was measured before."""

    def as_json(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Off:
    """Whether a model with its adapter switched off is its base."""

    prompts: int
    identical: int
    """Replies with the adapter off that are the base's, token by token."""
    changed: int
    """Replies with the adapter on that are not: without any, the adapter does nothing that could be switched off."""


def measure_general(
    base: Path,
    adapter: Path | None = None,
    *,
    files: Sequence[Path] = (),
    shipped: bool = True,
    limit: int | None = None,
    device: str | None = None,
    cache_folder: Path | None = None,
    progress: Progress = silent,
) -> General:
    """Measure a base model, or an adapter on it.

    Args:
        base: In Hugging Face layout.
        adapter: An adapter folder; None measures the base.
        files: Cases beside those that ship (`training.judging.general.cases`).
        shipped: Whether the shipped cases are asked too.
        limit: Cases of each kind, at most; `CPU_LIMITS` on a CPU and all on a GPU where None.
        device: `cpu` or `cuda`; a GPU that has room where None.
        cache_folder: What was measured before is taken from here, and kept here.
        progress: Told of the cases that are done.

    Raises:
        DataInvalid: A file of cases cannot be read.
        AdapterInvalid: The adapter is not whole, or of another base.
        BaseUnavailable: The base is not whole.
        TrainingError: There is nothing to measure with.
    """
    cases = read_cases(files, shipped=shipped)
    manifest = read_base(base) if (base / BASE_FILE).is_file() else describe_base(base, name=base.name, source="folder")
    weights = _weights(adapter, manifest)
    where = pick_device(base, device)
    asked = _drawn(cases, limit, where)
    key = _key(manifest.sha256, weights, asked, where)
    kept = _kept(cache_folder, key)
    if kept is not None:
        progress(Report("general ability was measured before", 1, 1))
        return kept
    started = time.monotonic()
    progress(Report("loading the model", 0, 0))
    model, tokenizer = load(base, adapter, where)
    chosen = choose(model, tokenizer, asked.choices, _teller(progress, "general questions", len(asked.choices)))
    followed = follow(model, tokenizer, asked.instructions, _teller(progress, "instructions", len(asked.instructions)))
    losses = read(model, tokenizer, asked.texts, _teller(progress, "general text", len(asked.texts)))
    found = _result(asked, chosen, followed, losses, where, time.monotonic() - started)
    _keep(cache_folder, key, found)
    return found


def choose(
    model: Any, tokenizer: Any, choices: Sequence[Choice], tell: Callable[[int], object] = untold
) -> dict[str, float]:
    """Of each question by its id, 1 where the right option is the likeliest, a token on the mean; else 0."""
    rows = []
    for one in choices:
        prefix = tokenizer(f"Question: {one.question}\nAnswer:")["input_ids"]
        options = [tokenizer(f" {option}", add_special_tokens=False)["input_ids"] for option in one.options]
        rows.append(Prefixed(prefix, options))
    likely = mean_logprobs(model, rows, tell)
    return {
        one.id: float(max(range(len(values)), key=values.__getitem__) == one.right)
        for one, values in zip(choices, likely, strict=True)
    }


def follow(
    model: Any, tokenizer: Any, instructions: Sequence[Instruction], tell: Callable[[int], object] = untold
) -> dict[str, tuple[bool, ...]]:
    """Of each instruction by its id, whether the greedy reply fulfils each of its constraints."""
    replies = greedy(model, tokenizer, [one.prompt for one in instructions], max_new_tokens=REPLY_TOKENS, tell=tell)
    texts = tokenizer.batch_decode(replies, skip_special_tokens=True) if replies else []
    return {
        one.id: tuple(holds(constraint, text) for constraint in one.constraints)
        for one, text in zip(instructions, texts, strict=True)
    }


def read(model: Any, tokenizer: Any, texts: Sequence[Text], tell: Callable[[int], object] = untold) -> dict[str, float]:
    """Of each text by its id, the loss in nats a token; the first token, which nothing precedes, is not counted."""
    ids = [tokenizer(one.text)["input_ids"][:TEXT_TOKENS] for one in texts]
    likely = mean_logprobs(model, [Prefixed(one[:1], [one[1:]]) for one in ids], tell)
    return {one.id: -values[0] for one, values in zip(texts, likely, strict=True)}


def adapter_off(
    base: Path, adapter: Path, prompts: Sequence[str], *, device: str | None = None, max_new_tokens: int = 48
) -> Off:
    """Compare greedy replies of the base, of the adapter switched off, and of the adapter.

    Args:
        base: In Hugging Face layout.
        adapter: An adapter folder of it.
        prompts: Each the only message of a chat.
        device: As for `measure_general`.
        max_new_tokens: Longest reply.
    """
    model, tokenizer = load(base, None, pick_device(base, device))
    before = greedy(model, tokenizer, prompts, max_new_tokens=max_new_tokens)
    model = with_adapter(model, adapter)
    on = greedy(model, tokenizer, prompts, max_new_tokens=max_new_tokens)
    with model.disable_adapter():
        off = greedy(model, tokenizer, prompts, max_new_tokens=max_new_tokens)
    same = [one == other for one, other in zip(before, off, strict=True)]
    return Off(len(same), sum(same), sum(one != other for one, other in zip(before, on, strict=True)))


def _weights(adapter: Path | None, base: BaseManifest) -> str:
    """Digest of an adapter's weights; empty for none."""
    if adapter is None:
        return ""
    manifest = read_adapter(adapter)
    mismatch = base_mismatch(manifest, base)
    if mismatch:
        raise AdapterInvalid(mismatch)
    return manifest.weights_sha256


def _drawn(cases: Cases, limit: int | None, device: str) -> Cases:
    """The cases that are asked."""
    limits: Mapping[str, int | None] = CPU_LIMITS if device == "cpu" else {}
    able = []
    for one in cases.instructions:
        if all(fits(constraint, REPLY_TOKENS) for constraint in one.constraints):
            able.append(one)
        else:
            cases.left_out[f"asks for more than the {REPLY_TOKENS} tokens of a reply hold"] += 1
    drawn = Cases(
        some(cases.choices, limit or limits.get("choices")),
        some(able, limit or limits.get("instructions")),
        some(cases.texts, limit or limits.get("texts")),
        cases.left_out,
    )
    fewer = len(cases.choices) + len(able) + len(cases.texts) - len(drawn)
    if fewer:
        drawn.left_out["over the limit of cases"] = fewer
    if not len(drawn):
        raise TrainingError("no case to measure general ability with; give files, or keep those that ship")
    return drawn


def _result(
    asked: Cases,
    chosen: Mapping[str, float],
    followed: Mapping[str, Sequence[bool]],
    losses: Mapping[str, float],
    device: str,
    seconds: float,
) -> General:
    values: dict[str, list[float]] = defaultdict(list)
    for choice in asked.choices:
        for name in ("choices", f"choices/{choice.task}"):
            values[name].append(chosen[choice.id])
    for instruction in asked.instructions:
        values["instructions"].append(float(all(followed[instruction.id])))
        for constraint, held in zip(instruction.constraints, followed[instruction.id], strict=True):
            values[f"instructions/{constraint.kind}"].append(float(held))
    for text in asked.texts:
        for name in ("loss", f"loss/{text.source}"):
            values[name].append(losses[text.id])
    right = {**chosen, **{case: float(all(held)) for case, held in followed.items()}}
    return General(
        measured={name: cases for name, cases in (("general", right), ("general_loss", losses)) if cases},
        scores={name: round(mean(held), 6) for name, held in sorted(values.items())},
        cases={name: len(held) for name, held in sorted(values.items())},
        left_out=dict(sorted(asked.left_out.items())),
        device=device,
        seconds=round(seconds, 1),
    )


def _teller(progress: Progress, stage: str, total: int) -> Callable[[int], object]:
    return lambda done: progress(Report(stage, done, total))


@cache
def _code() -> str:
    """Digest of this package's code, and the versions of what computes: other code measures anew."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    for name in ("torch", "transformers", "peft", "tokenizers"):
        found.update(f"{name} {version(name)}".encode())
    return found.hexdigest()


def _key(base: str, weights: str, asked: Cases, device: str) -> str:
    left_out = sorted(asked.left_out.items())
    return hashlib.sha256(repr((base, weights, digest(asked), left_out, device, _code())).encode()).hexdigest()


def _kept(folder: Path | None, key: str) -> General | None:
    if folder is None:
        return None
    try:
        return General(**json.loads((folder / f"{key}.json").read_text(encoding="utf-8")) | {"cached": True})
    except (OSError, ValueError, TypeError):
        return None


def _keep(folder: Path | None, key: str, found: General) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{key}.{os.getpid()}"
    temporary.write_text(json.dumps(found.as_json()), encoding="utf-8")
    temporary.replace(folder / f"{key}.json")
