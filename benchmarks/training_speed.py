"""How fast and how large training is beside plain TRL: `SFTTrainer` with its defaults on the same data in the same run.

    python -m benchmarks.training_speed small  --base FOLDER     SmolLM2 on a GPU, our parts one at a time
    python -m benchmarks.training_speed large  --base FOLDER     an 8B shape with random weights
    python -m benchmarks.training_speed memory --base FOLDER     peak of LoRA, 4 bits, all weights
    python -m benchmarks.training_speed resume --base FOLDER     kill -9 and the same seed twice
    python -m benchmarks.training_speed cpu    --base FOLDER     two CPU cores, in turns

Ours is `training.recipes.sft` from end to end. Tokens are those without padding; the first steps, in which kernels
are compiled, are left out. A token of LoRA is counted as 4 FLOP a weight (6 where all weights learn), work that
checkpointing repeats as none; the limit is a product of matrices in bfloat16 that is measured in the same call. Rows
are printed, and kept with `--out`, as they come. `--rehearse` makes everything tiny, for a machine without a GPU and a
base of at most 4,096 words.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.chats import BITEXT, read_chats
from benchmarks.goals import Goal, at_least, at_most, goal_table
from configs.training import Recipe
from training.errors import TrainingFailed
from training.examples.rendering import Example
from training.recipes import sft
from training.runs.folder import unfinished

WARM_UP = 3
RANK = 16
RATE = 4e-3
"""The best of `benchmarks.adapter_rates` for LoRA r16 at 32 chats a step, where both matrices learn as fast."""
PLUS = {"rate": 1e-3, "b_rate": 16.0}
"""The best of all there."""
PEER_RATE = 2e-3
"""For TRL's 8 chats a step: the step is a quarter, the rate that suits it about half."""
RANDOM_RATE = 1e-4
"""Low, because random weights have nothing to learn from and must only not burst."""
LARGE = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
"""The shape of Llama 3.1 8B."""
TINY = {**LARGE, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
TINY |= {"num_key_value_heads": 2, "vocab_size": 4096}
PLAIN = {"weights": "float32", "attention": "sdpa", "fused_lora": False, "fused_layers": False}
PARTS: dict[str, dict[str, Any]] = {
    "padded rows of 8 chats, nothing computed twice": {"packing": False, "per_device_train_batch_size": 8},
    "+ packed: 8 rows of 1,024 tokens": {"packing": True},
    "+ attention within each example": {"attention": "packed"},
    "+ base in bfloat16": {"weights": "bfloat16"},
    "+ adapter in one step": {"fused_lora": True},
    "+ norms, gates, rotations fused": {"fused_layers": True},
}
FAST = {"packing": True, "weights": "bfloat16", "attention": "packed", "fused_lora": True, "fused_layers": True}


@dataclass(frozen=True, slots=True)
class Row:
    """One training."""

    what: str
    tokens_a_second: float = 0.0
    tokens_a_step: float = 0.0
    seen: int = 0
    """Tokens in all."""
    held_back_loss: float | None = None
    peak_gib: float = 0.0
    share: float = 0.0
    """Of the matrix rate that was measured."""
    failed: str = ""


class Bench:
    """What all measurements share: data, base, and where rows go."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        import torch

        self.began = time.monotonic()
        self.arguments = arguments
        self.base: Path = arguments.base
        self.tiny: bool = arguments.rehearse
        self.on_gpu = torch.cuda.is_available()
        everything = read_chats(arguments.data)
        random.Random(7).shuffle(everything)  # noqa: S311  (reproducible, not secret)
        # Chats of one intent are worded alike, so this is no test of what was learnt, but the same for both.
        self.held, self.chats = everything[: arguments.held], everything[arguments.held :]
        self.digest = hashlib.sha256(arguments.data.read_bytes()).hexdigest()
        self.rate = self.matrix_rate()
        self.rows: list[Row] = []

    def matrix_rate(self, size: int = 8192) -> float:
        """FLOP a second of a product of bfloat16 matrices; 0 without a GPU."""
        import torch

        if not self.on_gpu:
            return 0.0
        one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        for _ in range(5):
            one @ other
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(50):
            one @ other
        torch.cuda.synchronize()
        return 50 * 2 * size**3 / (time.perf_counter() - began)

    def tried(self, what: str, train: Callable[[], Row]) -> Row:
        """A training's row; one that breaks, or for which no time is left, is told and does not end the others."""
        if time.monotonic() - self.began > 60 * self.arguments.minutes:
            return self.keep(Row(what, failed="no time left"))
        forget()
        try:
            return self.keep(train())
        except Exception as error:
            traceback.print_exc()
            return self.keep(Row(what, failed=f"{type(error).__name__}: {error}".splitlines()[0][:120]))

    def keep(self, row: Row) -> Row:
        """Print a row and write it down at once: a machine that is lent may be taken back."""
        self.rows.append(row)
        loss = "-" if row.held_back_loss is None else f"{row.held_back_loss:.4f}"
        say(
            f"{row.what:60} {row.tokens_a_second:9,.0f} tokens/s {row.tokens_a_step:8,.0f} a step {row.share:6.1%} "
            f"loss {loss} peak {row.peak_gib:6.2f} GiB {row.failed}"
        )
        if self.arguments.out:
            with self.arguments.out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        return row

    def measured(
        self, what: str, seen: Sequence[tuple[int, float, int]], weights: int, peak: float, flop: int = 4, **more: Any
    ) -> Row:
        """A row from (step, seconds, tokens so far)."""
        first = seen[min(WARM_UP, len(seen) - 2)]
        last = seen[-1]
        speed = (last[2] - first[2]) / (last[1] - first[1])
        a_step = (last[2] - first[2]) / (last[0] - first[0])
        share = flop * weights * speed / self.rate if self.rate else 0.0
        return Row(what, speed, a_step, last[2], peak_gib=peak, share=share, **more)


def say(text: str) -> None:
    """Print now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def peak() -> float:
    """Largest memory of the GPU since the last `forget`, in GiB."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def forget() -> None:
    """Free what the last run left."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def weights_of(model: Any) -> int:
    """Of the base; 0 where some are packed in 4 bits and cannot be counted by their number."""
    base = {name: one for name, one in model.named_parameters() if "lora_" not in name}
    return sum(one.numel() for one in base.values()) if all(one.is_floating_point() for one in base.values()) else 0


def held_back_loss(model: Any, tokenizer: Any, held: Sequence[Example]) -> float:
    """Mean loss of a reply's token, over all replies; the same arithmetic for ours and for the peer."""
    import torch

    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(held), 16):
        ids, labels = [], []
        for one in held[start : start + 16]:
            row = sft._row(one)
            asked, whole = (
                tokenizer(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=open_end))[
                    "input_ids"
                ]
                for chat, open_end in ((row["prompt"], True), (row["prompt"] + row["completion"], False))
            )
            ids.append(whole)
            labels.append([-100] * len(asked) + whole[len(asked) :])
        width = max(map(len, ids))
        given = torch.tensor([one + [0] * (width - len(one)) for one in ids], device=model.device)
        mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in ids], device=model.device)
        right = torch.tensor([one + [-100] * (width - len(one)) for one in labels], device=model.device)
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
            logits = model(input_ids=given, attention_mask=mask).logits[:, :-1].float()
        right = right[:, 1:]
        total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), right.flatten(), reduction="sum"))
        count += int((right != -100).sum())
    return total / count


def _ours(
    bench: Bench,
    what: str,
    examples: Sequence[Example],
    *,
    steps: int = -1,
    judged: bool = False,
    method: str = "lora",
    rate: float = RATE,
    b_rate: float = 1.0,
    **named: Any,
) -> Row:
    found: dict[str, Any] = {}

    def look(model: Any, tokenizer: Any) -> dict[str, float]:
        found["peak"] = peak()  # before the evaluation, which makes logits
        found["weights"] = weights_of(model)
        if judged:
            found["held_back_loss"] = held_back_loss(model, tokenizer, bench.held)
        return {}

    settings = {"num_train_epochs": 1, "per_device_train_batch_size": 8, "max_length": 1024, **PLAIN, **named}
    recipe = Recipe.model_validate(
        {
            "name": "speed",
            "method": method,
            "lora": {"r": RANK, "lora_alpha": 2 * RANK, "lora_dropout": 0.0, "b_rate": b_rate},
            "sft": {"learning_rate": rate, "max_steps": steps, **settings},
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        job = sft.Job(
            recipe,
            examples,
            bench.digest,
            None,
            bench.base,
            folder / "a" / "1",
            folder / "runs",
            say=len,
            evaluate=look,
        )
        try:
            trained = sft.main(job)
        except TrainingFailed as error:
            return Row(what, failed=str(error).split(";")[0][:90])
        seen = [(row["step"], row["seconds"], int(row["tokens"])) for row in map(json.loads, _log(trained.run))]
    return bench.measured(what, seen, found["weights"], found["peak"], held_back_loss=found.get("held_back_loss"))


def ours(bench: Bench, what: str, examples: Sequence[Example], **named: Any) -> Row:
    """Our recipe, from the examples to the packaged adapter."""
    return bench.tried(what, lambda: _ours(bench, what, examples, **named))


def trl(bench: Bench, what: str, examples: Sequence[Example], **named: Any) -> Row:
    """TRL as it comes: 8 chats a step, padded, every layer computed twice, bfloat16 arithmetic."""
    return bench.tried(what, lambda: _trl(bench, what, examples, **named))


def _log(run: Path) -> list[str]:
    return [line for line in (run / "losses.jsonl").read_text("utf-8").splitlines() if '"loss"' in line]


def _trl(
    bench: Bench,
    what: str,
    examples: Sequence[Example],
    *,
    make: Callable[[], Any] | None = None,
    steps: int = -1,
    judged: bool = False,
    adapter: bool = True,
    **changed: Any,
) -> Row:
    import datasets
    import torch
    import transformers
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    seen: list[tuple[int, float, int]] = []

    class Watch(transformers.TrainerCallback):
        """Notes the clock when the trainer tells its tokens."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            del args, control, kwargs
            if logs and "loss" in logs:
                seen.append((state.global_step, time.perf_counter(), int(logs["num_tokens"])))

    tokenizer = transformers.AutoTokenizer.from_pretrained(bench.base)
    with tempfile.TemporaryDirectory() as scratch:
        # Only what a run of this length needs, and what would write or print beside it.
        told: dict[str, Any] = {"output_dir": scratch, "report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
        machine: dict[str, Any] = {} if bench.on_gpu else {"use_cpu": True}
        counted: dict[str, Any] = {"num_train_epochs": 1, "max_steps": steps, "logging_steps": 1}
        peer = SFTTrainer(
            model=make() if make else str(bench.base),
            args=SFTConfig(**told, **counted, **machine, **changed),
            train_dataset=datasets.Dataset.from_list([sft._row(one) for one in examples]),
            processing_class=tokenizer,
            peft_config=_like_ours(LoraConfig) if adapter else None,
            callbacks=[Watch()],
        )
        peer.remove_callback(transformers.PrinterCallback)
        try:
            peer.train()
        except torch.OutOfMemoryError:
            return Row(what, failed="out of memory")
    most, weights = peak(), weights_of(peer.model)
    loss = held_back_loss(peer.model, tokenizer, bench.held) if judged else None
    return bench.measured(what, seen, weights, most, held_back_loss=loss, flop=4 if adapter else 6)


def _like_ours(kind: Callable[..., Any]) -> Any:
    return kind(task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules="all-linear")


def shaped(shape: dict[str, int], **given: Any) -> Any:
    """A Llama of that shape with random weights, made where it is to learn."""
    import torch
    import transformers

    given.setdefault("dtype", torch.bfloat16)
    library: Any = transformers
    config = library.LlamaConfig(**shape, rope_theta=500000.0, max_position_embeddings=8192)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return library.AutoModelForCausalLM.from_config(config, **given)


@contextmanager
def based_on(make: Callable[..., Any]) -> Iterator[None]:
    """Let the recipe learn on a model that is made in memory; 16 GB of random weights need no disk."""
    import transformers

    with patch.object(transformers.AutoModelForCausalLM, "from_pretrained", lambda _, **given: make(**given)):
        yield


def full_rows(examples: Sequence[Example], tokenizer: Any, count: int, tokens: int = 1024) -> list[Example]:
    """Examples that fill a row each: a reply is followed by others until it is full."""
    made: list[Example] = []
    place = 0
    while len(made) < count:
        first, text = examples[place % len(examples)], ""
        while len(tokenizer(text)["input_ids"]) < tokens:
            text += f"{examples[place % len(examples)].completion}\n"
            place += 1
        cut = tokenizer.decode(tokenizer(text)["input_ids"][: tokens - 80])
        made.append(replace(first, id=f"row{len(made)}/1/0", completion=cut))
    return made


def times(row: Row, other: Row) -> float:
    """How many times as fast; not a number where one of them failed."""
    return row.tokens_a_second / other.tokens_a_second if other.tokens_a_second else float("nan")


def small(bench: Bench) -> list[Goal]:
    """SmolLM2: the peer, our parts one at a time, then both over the same chats with the loss afterwards."""
    learnt = bench.chats[: 60 if bench.tiny else bench.arguments.rows]
    steps = 6 if bench.tiny else 14
    shorter = {"max_length": 1024, "per_device_train_batch_size": 1} if bench.tiny else {}
    # The peer first: fused rotations stay with the model's module.
    peer = trl(bench, "plain TRL, its defaults", learnt, judged=True)
    tuned = trl(bench, f"plain TRL at a rate of {PEER_RATE:g}", learnt, judged=True, learning_rate=PEER_RATE)
    settings: dict[str, Any] = {}
    for what, part in PARTS.items():
        settings |= part
        enough = bench.chats[: steps * 60 if settings["packing"] else steps * 8]
        ours(bench, what, enough, steps=steps, **{**settings, **shorter})
    ours(bench, "+ 32 rows a step", bench.chats, steps=steps, **{**FAST, "per_device_train_batch_size": 32, **shorter})
    plain = f"rate {RATE:g}"
    plus = f"rate {PLUS['rate']:g}, B {PLUS['b_rate']:g} times that"
    whole = {
        (batch, how): ours(
            bench,
            f"ours, {batch} rows a step, {how}",
            learnt,
            judged=True,
            **{**FAST, "per_device_train_batch_size": batch, **shorter, **(PLUS if how == plus else {})},
        )
        for batch, how in ((4, plain), (2, plus), (4, plus), (8, plus))
    }
    # The step and the rates that are judged are chosen before the run, not by its result.
    own = whole[4, plus]
    losses = [one.held_back_loss or float("nan") for one in (own, peer, tuned)]
    return [
        at_least("tokens/s, times plain TRL (4 rows a step)", 5, times(own, peer)),
        at_most("held-back loss, less plain TRL's", 0, losses[0] - losses[1]),
        at_most("held-back loss, less plain TRL's at a rate that suits it", 0, losses[0] - losses[2]),
    ]


def large(bench: Bench) -> list[Goal]:
    """An 8B shape: rows of 1,024 tokens and the lengths of real chats."""
    import transformers

    shape = TINY if bench.tiny else LARGE
    steps = 6 if bench.tiny else 12
    tokenizer = transformers.AutoTokenizer.from_pretrained(bench.base)
    full = full_rows(bench.chats, tokenizer, steps * (2 if bench.tiny else 10))
    shorter = {"max_length": 1024, "per_device_train_batch_size": 1} if bench.tiny else {}
    real = trl(
        bench, "plain TRL, lengths of real chats", bench.chats[: steps * 8], make=lambda: shaped(shape), steps=steps
    )
    if not bench.tiny:
        trl(bench, "plain TRL, full rows", full, make=lambda: shaped(shape), steps=steps - 4)
    runs: list[tuple[str, bool, dict[str, Any]]] = [
        ("ours without fused parts, 6 rows of real chats", True, {"fused_lora": False, "fused_layers": False}),
        ("+ adapter in one step, 8 rows", True, {"fused_layers": False}),
        ("+ norms, gates, rotations fused, 8 rows", True, {}),
        ("the same, full rows", False, {}),
        ("the same, 10 full rows", False, {"per_device_train_batch_size": 10}),
    ]
    rows = []
    for what, chatting, change in runs:
        batch = {"per_device_train_batch_size": 6 if change.get("fused_lora") is False else 8}
        examples = bench.chats[: steps * 60] if chatting else full
        with based_on(lambda **given: shaped(shape, **given)):
            settings = {**FAST, **batch, **change, **shorter, **({} if chatting else {"max_length": 1100})}
            made = steps if bench.tiny else steps - 3
            rows.append(ours(bench, what, examples, steps=made, rate=RANDOM_RATE, **settings))
    return [
        at_least("share of the measured matrix rate, real lengths", 0.6, rows[2].share),
        at_least("share of the measured matrix rate, full rows", 0.6, rows[3].share),
        at_least("tokens/s, times plain TRL on real lengths", 2, times(rows[2], real)),
    ]


def memory(bench: Bench) -> list[Goal]:
    """Peak memory on the 8B shape: adapter, adapter on 4 bits, all weights; then by the size of the vocabulary."""
    import torch
    import transformers

    shape = TINY if bench.tiny else LARGE
    few, more = (1, 2) if bench.tiny else (2, 6)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bench.base)
    full = full_rows(bench.chats, tokenizer, 8 if bench.tiny else 24)
    rows = 1 if bench.tiny else 4
    frugal = {**FAST, "per_device_train_batch_size": rows, "max_length": 1100, "gradient_checkpointing": True}

    def lora(what: str, form: dict[str, int], make: Callable[..., Any] = shaped, **change: Any) -> Row:
        with based_on(lambda **given: make(form, **given)):
            return ours(bench, what, full, steps=4, rate=RANDOM_RATE, **{**frugal, **change})

    def all_weights(what: str, layers: int, dtype: Any) -> Row:
        def make() -> Any:
            return shaped({**shape, "num_hidden_layers": layers}, dtype=dtype)

        return trl(
            bench, what, full, make=make, steps=4, adapter=False, per_device_train_batch_size=rows, learning_rate=1e-6
        )

    whole = {}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        one, other = (all_weights(f"all weights in {name}, {layers} layers", layers, dtype) for layers in (few, more))
        a_layer = (other.peak_gib - one.peak_gib) / (more - few)
        whole[name] = other.peak_gib + a_layer * (shape["num_hidden_layers"] - more)
        say(f"all weights in {name}: {a_layer:.2f} GiB a layer, {whole[name]:.1f} GiB with all layers by that")
    adapter = lora("LoRA, base in bfloat16", shape)
    lora(f"LoRA, {few} layers", {**shape, "num_hidden_layers": few})
    lora(f"LoRA, {more} layers", {**shape, "num_hidden_layers": more})
    if bench.on_gpu:
        lora("LoRA on a base of 4 bits (NF4)", shape, _four_bits)
        # The recipe's own way to load 4 bits, on real weights.
        ours(bench, "method: qlora on SmolLM2", bench.chats[:400], steps=8, method="qlora", packing=True)
    bare = []
    for words in (4096, 8192) if bench.tiny else (65536, 131072, 262144):
        form = {**shape, "num_hidden_layers": more, "vocab_size": words}
        row = lora(f"LoRA, {more} layers, {words:,} words", form)
        embedded = 2 * words * form["hidden_size"] * 2 / 2**30
        bare.append(row.peak_gib - embedded)
        say(f"  without the two tables of words: {bare[-1]:.2f} GiB")
    if not bench.on_gpu:
        return []
    return [
        at_most(
            "peak of LoRA, of all weights in bfloat16", 0.35, adapter.peak_gib / (whole["bfloat16"] or float("nan"))
        ),
        at_most("peak of LoRA, of all weights in float32", 0.35, adapter.peak_gib / (whole["float32"] or float("nan"))),
        at_most("peak at 262,144 words, times that at the fewest, without the tables", 1.05, bare[-1] / bare[0]),
    ]


def _four_bits(form: dict[str, int], **given: Any) -> Any:
    """The shape with each layer's matrices in NF4, as `method: qlora` loads them."""
    import torch
    from bitsandbytes import nn as four

    model = shaped(form, **{key: value for key, value in given.items() if key != "quantization_config"})
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, plain in list(part.named_children()):
                if type(plain) is not torch.nn.Linear:
                    continue
                packed = four.Linear4bit(
                    plain.in_features, plain.out_features, False, torch.bfloat16, True, "nf4", device="meta"
                )
                packed.weight = four.Params4bit(
                    plain.weight.data.cpu(), requires_grad=False, compress_statistics=True, quant_type="nf4"
                )
                setattr(part, name, packed.cuda())
    model.is_loaded_in_4bit = True
    forget()
    return model


def resume(bench: Bench) -> list[Goal]:
    """One seed twice, as it is and with deterministic kernels, and a run that is killed and goes on."""
    steps, cut = (8, 5) if bench.tiny else (40, 27)
    arms = {"one": "plain", "two": "plain", "killed": "plain", "exact": "exact", "exact again": "exact"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # Beside each other on a GPU, where nothing is timed; in turn on a CPU.
        children = {}
        for name, arm in arms.items():
            children[name] = _child(bench, folder / name, arm, steps, cut if name == "killed" else 0)
            if not bench.on_gpu:
                children[name].wait()
        for name, running in children.items():
            code = running.wait()
            expected = -signal.SIGKILL if name == "killed" else 0
            assert code == expected, f"{name} ended with {code}: {(folder / name / 'err').read_text()[-1500:]}"
        again = _child(bench, folder / "killed", "plain", steps, 0).wait()
        assert not again, (folder / "killed" / "err").read_text()[-1500:]
        losses = {
            name: [
                json.loads(line)["loss"] for line in _log(next((folder / name / "runs").glob("*/losses.jsonl")).parent)
            ]
            for name in arms
        }
    if bench.arguments.out:
        with bench.arguments.out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"losses": losses}) + "\n")
    assert {len(one) for one in losses.values()} == {steps}

    def apart(one: str, other: str) -> float:
        return max(abs(float(a) - float(b)) for a, b in zip(losses[one], losses[other], strict=True))

    return [
        at_most(f"largest difference of a step's loss, one seed twice, {steps} steps", 1e-3, apart("one", "two")),
        at_most(f"the same, killed after step {cut} and gone on", 1e-3, apart("one", "killed")),
        at_most("one seed twice with deterministic kernels", 1e-3, apart("exact", "exact again")),
    ]


def _child(bench: Bench, folder: Path, arm: str, steps: int, cut: int) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.training_speed", "child", "--base", str(bench.base), "--arm", arm]
    command += ["--data", str(bench.arguments.data), "--out", str(folder), "--steps", str(steps), "--cut", str(cut)]
    command += ["--rehearse"] if bench.tiny else []
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    with (folder / "err").open("ab") as errors:
        return subprocess.Popen(command, stdout=errors, stderr=errors, env=environment)


def child(arguments: argparse.Namespace) -> int:
    """Train once; go on from what lies there; die after a step where asked."""

    def kill(report: Any) -> None:
        if arguments.cut and report.loss is not None and report.step == arguments.cut:
            os.kill(os.getpid(), signal.SIGKILL)

    import torch

    if arguments.arm == "exact":
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(True, warn_only=True)
    folder, tiny = arguments.out, arguments.rehearse
    settings = {"learning_rate": RATE, "max_steps": arguments.steps, "checkpoint_every": 2 if tiny else 10, **FAST}
    settings |= {"per_device_train_batch_size": 1 if tiny else 4, "max_length": 1024}
    recipe = Recipe.model_validate({"name": "speed", "lora": {"r": RANK, "lora_dropout": 0.0}, "sft": settings})
    examples = read_chats(arguments.data)[: 40 if tiny else 1200]
    runs = folder / "runs"
    begun = next(runs.glob("*/origin.json"), None)
    resumed = unfinished(runs, json.loads(begun.read_text())) if begun else None
    sft.main(
        sft.Job(
            recipe, examples, "d" * 64, None, arguments.base, folder / "a" / "1", runs, progress=kill, resume=resumed
        )
    )
    return 0


def cpu(bench: Bench) -> list[Goal]:
    """Two CPU cores: rounds of the peer and of ours in turn, because the machine's own speed changes by the hour."""
    rounds, steps = bench.arguments.rounds, bench.arguments.steps
    ratios = []
    for number in range(rounds):
        learnt = bench.chats[number * 40 : number * 40 + 40]
        peer = trl(bench, f"plain TRL, round {number + 1}", learnt, steps=steps)
        own = ours(
            bench,
            f"ours, packed, round {number + 1}",
            learnt,
            steps=steps,
            packing=True,
            per_device_train_batch_size=bench.arguments.batch,
        )
        ratios.append(times(own, peer))
        say(f"round {number + 1}: {ratios[-1]:.2f}")
    return [at_least("tokens/s, times plain TRL, median of rounds", 1.4, statistics.median(ratios))]


def table(bench: Bench) -> str:
    """Every row, as Markdown."""
    lines = ["| | tokens/s | tokens a step | of the limit | held-back loss | peak, GiB |", "|---|---|---|---|---|---|"]
    for row in bench.rows:
        if row.failed:
            lines.append(f"| {row.what} | {row.failed} | | | | |")
            continue
        loss = "-" if row.held_back_loss is None else f"{row.held_back_loss:.4f}"
        share = f"{row.share:.1%}" if row.share else "-"
        lines.append(
            f"| {row.what} | {row.tokens_a_second:,.0f} | {row.tokens_a_step:,.0f} | {share} | {loss} "
            f"| {row.peak_gib:.2f} |"
        )
    return "\n".join(lines)


def versions() -> str:
    """What was measured with."""
    import peft
    import torch
    import transformers
    import trl

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    libraries = ", ".join(f"{one.__name__} {one.__version__}" for one in (torch, transformers, trl, peft))
    return f"{device}, {libraries}"


def main() -> int:
    """Measure one part, print, keep."""
    parts: dict[str, Callable[[Bench], list[Goal]]] = {
        "small": small,
        "large": large,
        "memory": memory,
        "resume": resume,
        "cpu": cpu,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*parts, "child"])
    parser.add_argument("--base", type=Path, required=True, help="SmolLM2-135M-Instruct in Hugging Face layout")
    parser.add_argument("--data", type=Path, default=BITEXT)
    parser.add_argument("--rows", type=int, default=1600, help="chats that both learn in `small`")
    parser.add_argument("--held", type=int, default=160, help="chats that the loss is measured on")
    parser.add_argument("--rounds", type=int, default=3, help="of `cpu`")
    parser.add_argument("--steps", type=int, default=3, help="of a round of `cpu`")
    parser.add_argument("--batch", type=int, default=1, help="packed rows of 1,024 tokens a step of `cpu`")
    parser.add_argument("--arm", choices=["plain", "exact"], default="plain", help=argparse.SUPPRESS)
    parser.add_argument("--cut", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=float, default=9, help="after these no further training begins")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes")
    parser.add_argument("--out", type=Path, help="the table; its rows beside it as .jsonl while they come")
    arguments = parser.parse_args()
    if arguments.part == "child":
        return child(arguments)
    import datasets

    datasets.disable_progress_bars()
    began = time.monotonic()
    bench = Bench(arguments)
    say(f"{versions()}; matrix rate {bench.rate / 1e12:.0f} TFLOP/s")
    goals = parts[arguments.part](bench)
    after = bench.matrix_rate() / 1e12
    text = f"`python -m benchmarks.training_speed {arguments.part}` on {versions()}; {time.monotonic() - began:.0f} s"
    text += f"; a product of matrices: {bench.rate / 1e12:.0f} TFLOP/s before, {after:.0f} after" if after else ""
    text += ".\n\n"
    text += f"{table(bench)}\n\n" + "\n".join(goal_table(goals)) + "\n"
    say(f"\n{text}")
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
