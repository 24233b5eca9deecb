"""Train one brand's voice by supervised fine-tuning: a LoRA adapter, or all weights; read it from top to bottom.

    python -m training.recipes.lora_sft --recipe configs/training/lora_sft.yaml --examples velmora.jsonl \
        --base var/models/smollm2-135m-instruct --out var/adapters/velmora/1 --runs var/runs

Runs on two CPU cores and on a GPU. The loss counts on the tokens of the reply only. The same recipe, examples and
seed give the same adapter on the same machine. The run folder keeps the recipe, the loss of each step and its plot;
with `sft.checkpoint_every` also the state to go on from after a crash.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import shutil
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from configs.adapter_manifest import AdapterManifest
from configs.adapter_proof import AdapterProof
from configs.base_manifest import BASE_FILE, BaseManifest, read_base
from configs.errors import ConfigError
from configs.training import Lora, Recipe, Sft, read_recipe
from training.base_model import DEFAULT, describe_base
from training.errors import RecipeInvalid, TrainingError, TrainingFailed
from training.example_files import read_examples
from training.examples import Example, select
from training.packaging import Origin, package_adapter
from training.plot import loss_plot
from training.progress import LineProgress, Progress, Report, silent
from training.proof import record
from training.runs import ORIGIN_FILE, LossLog, last_checkpoint, new_run
from training.sampling import LengthGrouped

Metrics = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Job:
    """One training run."""

    recipe: Recipe
    examples: Sequence[Example]
    """Of one brand; the recipe selects from them."""
    data_sha256: str
    knowledge_version: str | None
    base: Path
    """Folder in Hugging Face layout, with or without `base.json`."""
    out: Path
    """The folder of the new version; must not exist."""
    runs: Path
    parent: str | None = None
    display_name: str | None = None
    """The brand's name as customers know it, for the proof that service asks of an engine; without it none is made."""
    progress: Progress = silent
    say: Callable[[str], object] = sys.stderr.write
    """Shown every resolved value before the first step."""
    resume: Path | None = None
    """Folder of an earlier run of the same job that a crash ended; it goes on from its last checkpoint."""
    evaluate: Callable[[Any, Any], Metrics] | None = None
    """Called with the trained model and the tokenizer; what it returns is kept in the manifest."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it."""

    manifest: AdapterManifest | None
    """None where all weights were trained: that is no adapter, and the engine serves adapters."""
    folder: Path
    """Of the adapter, or of the whole model."""
    run: Path
    metrics: Metrics
    losses: tuple[float, ...]
    """At each step."""


def main(job: Job) -> Trained:
    """Train, keep the run, package the adapter.

    Raises:
        RecipeInvalid: The recipe does not fit the examples.
        TrainingFailed: Memory, disk, or a loss that is not a number; no adapter is left behind.
    """
    started = time.monotonic()
    recipe, sft = job.recipe, job.recipe.sft
    examples, watched = _held_back(select(job.examples, recipe.data), sft)
    brand = _brand(examples)
    base = _base(job.base)
    run = job.resume or new_run(job.runs, brand, recipe)
    origin = Origin.of(brand, base, recipe, job.data_sha256)
    made_of = json.dumps(origin.digests(job.knowledge_version), indent=2)
    (run / ORIGIN_FILE).write_text(f"{made_of}\n", encoding="utf-8")
    checkpoint = last_checkpoint(run / "trainer") if job.resume else None
    job.progress(Report("loading the base model", 0, 0))

    # 1. Model and tokenizer. The seed comes first, because the adapter starts from random numbers.
    import datasets
    import torch
    import transformers
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(sft.seed)
    on_gpu = torch.cuda.is_available()
    half = _computes_in_bfloat16(sft.precision, on_gpu=on_gpu)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.base)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        job.base,
        **_loaded(sft, fast=on_gpu and half),
        **_quantised(recipe, on_gpu=on_gpu),
    )

    # 2. Data: the messages as service sends them, the reply as the completion.
    lengths = _lengths([*examples, *watched], tokenizer, sft.max_length)[: len(examples)]
    dataset = datasets.Dataset.from_list([_row(example) for example in examples])
    to_watch = datasets.Dataset.from_list([_row(example) for example in watched]) if watched else None

    # 3. Adapter and optimisation, all from the recipe.
    arguments = SFTConfig(
        output_dir=str(run / "trainer"),
        learning_rate=sft.learning_rate,
        num_train_epochs=sft.num_train_epochs,
        max_steps=sft.max_steps,
        per_device_train_batch_size=sft.per_device_train_batch_size,
        per_device_eval_batch_size=sft.per_device_train_batch_size,
        gradient_accumulation_steps=sft.gradient_accumulation_steps,
        lr_scheduler_type=sft.lr_scheduler_type,
        warmup_steps=sft.warmup_ratio,
        weight_decay=sft.weight_decay,
        max_grad_norm=sft.max_grad_norm,
        max_length=sft.max_length,
        completion_only_loss=True,
        bf16=half,
        use_cpu=not on_gpu,
        seed=sft.seed,
        data_seed=sft.seed,
        packing=sft.packing,
        eval_packing=False,
        gradient_checkpointing=sft.gradient_checkpointing,
        dataloader_pin_memory=on_gpu,
        logging_steps=1,
        **_watching(sft, watched=bool(watched)),
        report_to="none",
        disable_tqdm=True,
    )
    resumed_at = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    log = LossLog(run / "losses.jsonl", job.progress, f"training {brand}", resumed_at=resumed_at)
    callbacks = [log.callback()]
    if sft.patience:
        callbacks.append(transformers.EarlyStoppingCallback(early_stopping_patience=sft.patience))

    class Trainer(SFTTrainer):
        """Takes batches of like length: a third fewer padding tokens on a CPU, where every token costs."""

        def _get_train_sampler(self, *given: Any) -> Any:
            if sft.packing:
                return super()._get_train_sampler(*given)
            return LengthGrouped(lengths, batch=sft.per_device_train_batch_size, seed=sft.seed)

    with warnings.catch_warnings():
        # The trainer's own defaults warn of what is meant so here (padding is the end token, cache is off).
        warnings.simplefilter("ignore")
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            eval_dataset=to_watch,
            processing_class=tokenizer,
            peft_config=None if recipe.method == "full" else _lora(recipe.lora),
            callbacks=callbacks,
        )
        trainer.remove_callback(transformers.PrinterCallback)
    _fuse(trainer.model, sft, on_gpu=on_gpu)
    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    prepared: Any = trainer.train_dataset
    _show(
        job,
        {
            "brand": brand,
            "method": recipe.method,
            "device": f"{device}, {'bfloat16' if half else 'float32'}",
            "base": f"{base.name} {base.sha256[:12]}",
            "examples": f"{len(examples)} of {len(job.examples)}: {dict(Counter(one.kind for one in examples))}",
            "tokens": f"{sum(lengths)} an epoch, median {statistics.median(lengths):.0f}, longest {max(lengths)}",
            "held back": f"{len(watched)} examples",
            "rows": f"{len(prepared)} of {len(examples)} examples",
            "steps": trainer.args.max_steps if sft.max_steps > 0 else _steps(len(prepared), recipe),
            "goes on from": f"step {resumed_at} of {run.name}" if checkpoint else "the start",
            "trained weights": _trained(trainer.model),
        },
    )

    # 4. Train. Whatever breaks leaves the run folder to look at, and no adapter.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingFailed(
            f"memory ran out while training {brand}: lower sft.per_device_train_batch_size (now "
            f"{sft.per_device_train_batch_size}) and raise sft.gradient_accumulation_steps as much"
        ) from error
    except OSError as error:
        raise TrainingFailed(
            f"training {brand} stopped: {error}; free some disk and train again ({run} keeps the log)"
        ) from error
    losses = log.losses
    if not losses or not math.isfinite(losses[-1]):
        raise TrainingFailed(f"the loss of {brand} is not a number; lower sft.learning_rate (now {sft.learning_rate})")
    (run / "loss.svg").write_text(loss_plot(losses, title=f"{brand}: {recipe.name}"), encoding="utf-8")

    # 5. Evaluate where asked, then package: a folder of three files, all or none.
    tuned: Any = trainer.model
    metrics: dict[str, float | int | str | None] = {
        "examples": len(examples),
        "steps": len(losses),
        "loss_first": round(statistics.mean(losses[: max(1, len(losses) // 10)]), 4),
        "loss_last": round(statistics.mean(losses[-max(1, len(losses) // 10) :]), 4),
        "train_seconds": round(time.monotonic() - started, 1),
        "train_device": device,
        "recipe": recipe.name,
    }
    if before := log.held_back.pop(0, None):
        metrics["held_back_loss_before"] = round(before, 4)
    if log.held_back:
        best = min(log.held_back, key=log.held_back.__getitem__)
        metrics |= {"held_back_loss": round(log.held_back[best], 4), "best_step": best}
    if job.evaluate is not None:
        job.progress(Report(f"evaluating {brand}", 0, 0))
        tuned.eval()
        metrics.update(job.evaluate(tuned, tokenizer))
    job.progress(Report(f"packaging {brand}", 0, 0))
    manifest, folder = _keep(job, origin, tuned, tokenizer, run, metrics)
    # The run is over: what it could have gone on from is large, and of no more use.
    (run / ORIGIN_FILE).unlink()
    shutil.rmtree(run / "trainer", ignore_errors=True)
    del trainer, model, tuned
    gc.collect()
    return Trained(manifest, folder, run, metrics, tuple(losses))


def _held_back(examples: Sequence[Example], sft: Sft) -> tuple[list[Example], list[Example]]:
    """Examples to learn and examples to watch."""
    if not sft.held_back:
        return list(examples), []
    # Imported where it is needed: a machine that watches nothing need not have what compares questions.
    from training.data.split import hold_back

    return hold_back(examples, sft.held_back, sft.seed)


def _lora(lora: Lora) -> Any:
    from peft import LoraConfig

    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=targets,
    )


def _quantised(recipe: Recipe, *, on_gpu: bool) -> dict[str, Any]:
    """How the base is loaded: in 4 bits for QLoRA. Source: Dettmers et al., "QLoRA", 2023."""
    if recipe.method != "qlora":
        return {}
    if not on_gpu:
        raise RecipeInvalid(
            "qlora keeps the base in 4 bits, for which a GPU is needed; take a recipe with method: lora"
        )
    import torch
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    }


def _loaded(sft: Sft, *, fast: bool) -> dict[str, Any]:
    """How the base lies in memory and attends; without a GPU and bfloat16 in float32 and as PyTorch does."""
    import torch

    if not fast:
        return {"dtype": torch.float32}
    from training.fast_layers import register_packed_attention

    packed = sft.packing and sft.attention != "sdpa"
    attention = {"attn_implementation": register_packed_attention()} if packed else {}
    return {"dtype": getattr(torch, sft.weights), **attention}


def _fuse(model: Any, sft: Sft, *, on_gpu: bool) -> None:
    """Exchange layers for faster ones that compute the same; a CPU keeps the plain ones."""
    from training.fast_layers import fuse_layers, fuse_lora

    if on_gpu and sft.fused_lora:
        fuse_lora(model)
    if on_gpu and sft.fused_layers:
        fuse_layers(model)


def _keep(
    job: Job, origin: Origin, model: Any, tokenizer: Any, run: Path, metrics: Metrics
) -> tuple[AdapterManifest | None, Path]:
    """Package the adapter; a whole model stays with its run."""
    if job.recipe.method == "full":
        _keep_model(model, tokenizer, run / "model", metrics)
        return None, run / "model"
    manifest = package_adapter(
        model,
        job.out,
        origin=origin,
        knowledge_version=job.knowledge_version,
        metrics=metrics,
        parent=job.parent,
        prove=partial(_proof, job) if job.display_name else None,
    )
    (run / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return manifest, job.out


def _proof(job: Job, adapter: Path, weights_sha256: str) -> AdapterProof | None:
    proof = record(adapter, job.base, job.display_name or "", weights_sha256)
    if proof is None:
        job.say("  the adapter hardly changes the base model: no engine can be seen to use it, so no proof is kept\n")
    return proof


def _keep_model(model: Any, tokenizer: Any, folder: Path, metrics: Metrics) -> None:
    """Write a whole model in Hugging Face layout, with its figures beside it."""
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingFailed(f"the model could not be written to {folder}: {error}; free some disk") from error


def _watching(sft: Sft, *, watched: bool) -> dict[str, Any]:
    """When the trainer looks at what is held back and when it keeps its state, in its own words."""
    if watched:
        looks = {"eval_strategy": "steps", "eval_steps": sft.evaluate_every, "eval_on_start": True}
        # The best state can only be taken if it was kept.
        keeps = {"save_strategy": "steps", "save_steps": sft.evaluate_every, "load_best_model_at_end": True}
        return {**looks, **keeps, "save_total_limit": 2, "metric_for_best_model": "eval_loss"}
    if sft.checkpoint_every:
        return {"save_strategy": "steps", "save_steps": sft.checkpoint_every, "save_total_limit": 2}
    return {"save_strategy": "no"}


def _brand(examples: Sequence[Example]) -> str:
    brands = sorted({example.brand for example in examples})
    if len(brands) != 1:
        raise RecipeInvalid(f"an adapter speaks for one brand, the examples hold {brands or 'none'}; give one file")
    return brands[0]


def _base(folder: Path) -> BaseManifest:
    """What the base is; a folder without `base.json` (another machine's copy) is read and described."""
    if (folder / BASE_FILE).is_file():
        return read_base(folder)
    return describe_base(folder, name=DEFAULT, source=f"folder:{folder.name}")


def _computes_in_bfloat16(precision: str, *, on_gpu: bool) -> bool:
    """Whether the machine has units for bfloat16, or the recipe asks for it anyway."""
    import torch

    if precision != "auto":
        return precision == "bfloat16"
    if on_gpu:
        return bool(torch.cuda.is_bf16_supported())
    # Without AMX, bfloat16 on a CPU is emulated and slower than float32.
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return probe is not None and bool(probe())


def _row(example: Example) -> dict[str, list[dict[str, str]]]:
    return {
        "prompt": [{"role": one.role, "content": one.content} for one in example.messages],
        "completion": [{"role": "assistant", "content": example.completion}],
    }


def _lengths(examples: Sequence[Example], tokenizer: Any, max_length: int) -> list[int]:
    """Tokens of each example; a cut one would be learnt without its end, so that it is refused instead."""
    lengths = []
    for example in examples:
        row = _row(example)
        text = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
        lengths.append(len(tokenizer(text, add_special_tokens=False)["input_ids"]))
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] > max_length:
        raise RecipeInvalid(
            f"example {examples[longest].id} is {lengths[longest]} tokens long, sft.max_length is {max_length}: "
            "raise it, or lower data.max_source_tokens"
        )
    return lengths


def _steps(examples: int, recipe: Recipe) -> int:
    batch = recipe.sft.per_device_train_batch_size * recipe.sft.gradient_accumulation_steps
    return math.ceil(math.ceil(examples / batch) * recipe.sft.num_train_epochs)


def _trained(model: Any) -> int:
    return sum(int(one.numel()) for one in model.parameters() if one.requires_grad)


def _show(job: Job, facts: Mapping[str, object]) -> None:
    """Every resolved value."""
    values = {**facts, **{f"{part}.{key}": value for part, key, value in _flat(job.recipe)}}
    job.say("".join(f"  {key:32} {value}\n" for key, value in values.items()))


def _flat(recipe: Recipe) -> list[tuple[str, str, object]]:
    parts = recipe.model_dump(include={"data", "sft"} if recipe.method == "full" else {"lora", "data", "sft"})
    return [(part, key, value) for part, values in parts.items() for key, value in values.items()]


def _command_line() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.recipes.lora_sft", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="a file under configs/training")
    parser.add_argument("--examples", type=Path, required=True, help="made by python -m training.examples")
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new version")
    parser.add_argument("--runs", type=Path, default=Path(os.environ.get("BRANDVOICE_HOME", "var")) / "runs")
    arguments = parser.parse_args()
    try:
        examples, digest, knowledge = read_examples(arguments.examples)
        trained = main(
            Job(
                read_recipe(arguments.recipe),
                examples,
                digest,
                knowledge,
                arguments.base,
                arguments.out,
                arguments.runs,
                progress=LineProgress(),
            )
        )
    except (TrainingError, ConfigError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{trained.folder}\n{trained.run}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_command_line())
