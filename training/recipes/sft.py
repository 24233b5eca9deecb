"""Train one brand's voice by supervised fine-tuning: a LoRA adapter, or all weights; read it from top to bottom.

    python -m training.recipes.sft --recipe configs/training/lora.yaml --examples velmora.jsonl \
        --base var/models/smollm2-135m-instruct --out var/adapters/velmora/1 --runs var/runs

Runs on two CPU cores and on a GPU. The loss counts on the tokens of the reply only. The same recipe, examples and
seed give the same adapter on the same machine. The run folder keeps the recipe, the loss of each step and its plot;
with `sft.checkpoint_every` also the state to go on from after a crash.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.training import Recipe, Sft, read_recipe
from training.errors import RecipeInvalid, TrainingError
from training.examples.files import read_examples
from training.examples.rendering import Example, select
from training.progress import LineProgress, Report
from training.runs import adapter_run
from training.runs.adapter_run import (
    KeepsLastGood,
    Run,
    Trained,
    begin,
    check_losses,
    computes_in_bfloat16,
    count_trained,
    enough_disk,
    enough_memory,
    finish,
    lora_config,
    show,
    started,
    steps,
    trainer_arguments,
)
from training.trainer.lora_plus import LearnsBFaster
from training.trainer.ranks import place
from training.trainer.rehearsal import Rehearses
from training.trainer.sampling import LengthGrouped
from training.trainer.strength import keep


class Job(adapter_run.Job[Recipe, Example]):
    """One training run."""


def main(job: Job) -> Trained:
    """Train, keep the run, package the adapter.

    Raises:
        RecipeInvalid: The recipe does not fit the examples.
        TrainingFailed: Memory, disk, or a loss that is not a number; no adapter is left behind.
    """
    run = begin(job)
    with enough_memory(job, run):
        return _train(job, run)


def _train(job: Job, run: Run) -> Trained:
    recipe, sft = job.recipe, job.recipe.sft
    examples, watched, rehearsed = split(job.examples, recipe)
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
    half = computes_in_bfloat16(sft.precision, on_gpu=on_gpu)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.base)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        job.base,
        **_loaded(sft, fast=on_gpu and half),
        **_quantised(recipe, on_gpu=on_gpu),
    )

    if job.start is not None:
        model = started(model, job.start, run)

    # 2. Data: the messages as service sends them, the reply as the completion.
    lengths = _lengths([*examples, *watched, *rehearsed], tokenizer, sft.max_length)[: len(examples)]
    dataset = datasets.Dataset.from_list([_row(example) for example in examples])
    to_watch = datasets.Dataset.from_list([_row(example) for example in watched]) if watched else None

    # 3. Adapter and optimisation, all from the recipe.
    arguments = SFTConfig(
        **trainer_arguments(job, run, half=half, on_gpu=on_gpu, watched=bool(watched)),
        completion_only_loss=True,
        packing=sft.packing,
        eval_packing=False,
    )
    log = run.log(job.progress)
    callbacks = [log.callback()]
    if sft.patience:
        callbacks.append(transformers.EarlyStoppingCallback(early_stopping_patience=sft.patience))

    class Trainer(KeepsLastGood, LearnsBFaster, Rehearses, SFTTrainer):
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
            peft_config=None if recipe.method == "full" or job.start else lora_config(recipe.lora),
            callbacks=callbacks,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.b_rate = recipe.lora.b_rate
    _fuse(trainer.model, sft, on_gpu=on_gpu)
    trainer.rehearse(rehearsed, tokenizer, sft)
    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    prepared: Any = trainer.train_dataset
    show(
        job,
        {
            "brand": run.brand,
            "method": recipe.method,
            "device": f"{device}, {'bfloat16' if half else 'float32'}",
            "base": f"{run.origin.base.name} {run.origin.base.sha256[:12]}",
            "starts from": recipe.start_from,
            "examples": f"{len(examples)} of {len(job.examples)}: {dict(Counter(one.kind for one in examples))}",
            "tokens": f"{sum(lengths)} an epoch, median {statistics.median(lengths):.0f}, longest {max(lengths)}",
            "held back": f"{len(watched)} examples",
            "rehearsed": f"{len(rehearsed)} general conversations",
            "rows": f"{len(prepared)} of {len(examples)} examples",
            "steps": steps(len(prepared), sft),
            "goes on from": run.goes_on_from,
            "trained weights": count_trained(trainer.model),
        },
        ("data", "sft") if recipe.method == "full" or job.start else ("lora", "data", "sft"),
    )

    # 4. Train. Whatever breaks leaves the run folder to look at, and no adapter.
    with enough_disk(run), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    check_losses(job, run, log)

    # 5. Evaluate where asked, then package: a folder of three files, all or none.
    keep(trainer.model, sft.strength)
    trained = finish(job, run, log, trainer.model, tokenizer, device=device, examples=len(examples))
    del trainer, model
    gc.collect()
    return trained


def split(examples: Sequence[Example], recipe: Recipe) -> tuple[list[Example], list[Example], list[Example]]:
    """What a recipe learns of its examples, what it only watches the loss on, and what it rehearses.

    Raises:
        RecipeInvalid: Nothing is left to learn, or to watch.
    """
    chosen = select(examples, recipe.data)
    general = [one for one in chosen if one.kind == "general"] if recipe.sft.distillation else []
    own = [one for one in chosen if one.kind != "general"] if general else chosen
    learnt, watched = _held_back(own, recipe.sft)
    return learnt, watched, general


def _held_back(examples: Sequence[Example], sft: Sft) -> tuple[list[Example], list[Example]]:
    """Examples to learn and examples to watch."""
    if not sft.held_back:
        return list(examples), []
    # Imported where it is needed: a machine that watches nothing need not have what compares questions.
    from training.data.split import hold_back

    learnt, watched = hold_back(examples, sft.held_back, sft.seed)
    if not learnt or not watched:
        raise RecipeInvalid(
            f"sft.held_back {sft.held_back:g} of {len(examples)} examples leaves nothing to "
            f"{'watch' if learnt else 'learn'}: give more conversations, another held_back, or 0 to watch none"
        )
    return learnt, watched


def _quantised(recipe: Recipe, *, on_gpu: bool) -> dict[str, Any]:
    """How the base is loaded: in 4 bits for QLoRA. Source: Dettmers et al., "QLoRA", 2023."""
    if recipe.method != "qlora":
        return {}
    if not on_gpu:
        raise RecipeInvalid(
            "qlora keeps the base in 4 bits, for which a GPU is needed; take a recipe with method: lora"
        )
    if find_spec("bitsandbytes") is None:
        raise RecipeInvalid("qlora needs a library that is not installed: `pip install bitsandbytes`")
    import torch
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
        # It cannot be moved once it is loaded: each process loads it onto its own GPU.
        "device_map": {"": place()},
    }


def _loaded(sft: Sft, *, fast: bool) -> dict[str, Any]:
    """How the base lies in memory and attends; without a GPU and bfloat16 in float32 and as PyTorch does."""
    import torch

    if not fast:
        return {"dtype": torch.float32}
    from training.trainer.fast_layers import register_packed_attention

    packed = sft.packing and sft.attention != "sdpa"
    attention = {"attn_implementation": register_packed_attention()} if packed else {}
    return {"dtype": getattr(torch, sft.weights), **attention}


def _fuse(model: Any, sft: Sft, *, on_gpu: bool) -> None:
    """Exchange layers for faster ones that compute the same; a CPU keeps the plain ones."""
    from training.trainer.fast_layers import fuse_layers, fuse_lora

    if on_gpu and sft.fused_lora:
        fuse_lora(model)
    if on_gpu and sft.fused_layers:
        fuse_layers(model)


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


def _command_line() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.recipes.sft", description=__doc__)
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
