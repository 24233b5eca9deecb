"""Train one brand's voice from preferences: of two replies the better one; read it from top to bottom.

Direct preference optimisation (Rafailov et al., 2023) of a LoRA adapter, a new one on the base or one that goes on from
an earlier version. The reference is where it starts: the base with the adapter off, or that version. Started by
`python -m training.train`; the run folder and the adapter's folder are those of `training.recipes.sft`.
"""

from __future__ import annotations

import gc
import os
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.training import DpoRecipe
from training.data.preferences import Pair, hold_pairs_back
from training.errors import RecipeInvalid
from training.progress import Report
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
from training.trainer.ranks import of_main
from training.trainer.sampling import LengthGrouped


class Job(adapter_run.Job[DpoRecipe, Pair]):
    """One training run."""


def main(job: Job) -> Trained:
    """Train, keep the run, package the adapter.

    Raises:
        RecipeInvalid: The recipe does not fit the pairs, or the adapter to start from the base.
        TrainingFailed: Memory, disk, or a loss that is not a number; no adapter is left behind.
    """
    run = begin(job)
    with enough_memory(job, run):
        return _train(job, run)


def _train(job: Job, run: Run) -> Trained:
    recipe, dpo = job.recipe, job.recipe.dpo
    pairs, watched = hold_pairs_back(job.examples, dpo.held_back, dpo.seed)
    job.progress(Report("loading the base model", 0, 0))

    # 1. Model and tokenizer. The seed comes first, because a new adapter starts from random numbers.
    import datasets
    import torch
    import transformers
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(dpo.seed)
    on_gpu = torch.cuda.is_available()
    half = computes_in_bfloat16(dpo.precision, on_gpu=on_gpu)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.base)
    weights = getattr(torch, dpo.weights) if on_gpu and half else torch.float32
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(job.base, dtype=weights)
    if job.start is not None:
        model = started(model, job.start, run)

    # 2. Data: the messages as service sends them, and both replies.
    lengths = _lengths([*pairs, *watched], tokenizer, dpo.max_length)[: len(pairs)]
    with enough_disk(run):
        dataset = _on_disk([_row(pair) for pair in pairs], run.folder / "trainer" / "pairs")
        to_watch = _on_disk([_row(pair) for pair in watched], run.folder / "trainer" / "watched") if watched else None

    # 3. Adapter and optimisation, all from the recipe.
    arguments = DPOConfig(
        **trainer_arguments(job, run, half=half, on_gpu=on_gpu, watched=bool(watched)),
        beta=dpo.beta,
        # The reference never changes: what it finds of each reply is worked out once, before the first step.
        precompute_ref_log_probs=True,
    )
    log = run.log(job.progress)
    callbacks = [log.callback()]
    if dpo.patience:
        callbacks.append(transformers.EarlyStoppingCallback(early_stopping_patience=dpo.patience))

    class Trainer(KeepsLastGood, LearnsBFaster, DPOTrainer):
        """Takes batches of like length, in an order that a crash does not change."""

        def _get_train_sampler(self, *given: Any) -> Any:
            del given
            return LengthGrouped(lengths, batch=dpo.per_device_train_batch_size, seed=dpo.seed)

    job.progress(Report("reading the pairs with the reference", 0, 0))
    with warnings.catch_warnings(), _no_bar():
        # The trainer's own defaults warn of what is meant so here (padding is the end token, cache is off).
        warnings.simplefilter("ignore")
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            eval_dataset=to_watch,
            processing_class=tokenizer,
            peft_config=None if job.start else lora_config(recipe.lora),
            callbacks=callbacks,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.b_rate = recipe.lora.b_rate
    tuned: Any = trainer.model
    if "ref" in tuned.peft_config:
        # The copy to start from has been read; kept, it would stand in each checkpoint and bar the way back into one.
        tuned.delete_adapter("ref")
    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    show(
        job,
        {
            "brand": run.brand,
            "method": recipe.method,
            "device": f"{device}, {'bfloat16' if half else 'float32'}",
            "base": f"{run.origin.base.name} {run.origin.base.sha256[:12]}",
            "starts from, and is held to": recipe.start_from,
            "pairs": f"{len(pairs)}, {len(watched)} held back",
            "tokens": f"median {statistics.median(lengths):.0f} of the longer reply, longest {max(lengths)}",
            "steps": steps(len(pairs), dpo),
            "goes on from": run.goes_on_from,
            "trained weights": count_trained(tuned),
        },
        ("pairs", "dpo") if job.start else ("lora", "pairs", "dpo"),
    )

    # 4. Train. Whatever breaks leaves the run folder to look at, and no adapter.
    with enough_disk(run), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    check_losses(job, run, log)

    # 5. Evaluate where asked, then package: a folder with all its files, or none.
    trained = finish(job, run, log, tuned, tokenizer, device=device, examples=len(pairs))
    del trainer, model, tuned
    gc.collect()
    return trained


def _on_disk(rows: list[dict[str, list[dict[str, str]]]], folder: Path) -> Any:
    """Rows in a folder that all processes see: the trainer keeps beside them what the reference finds of each."""
    import datasets

    of_main(lambda: datasets.Dataset.from_list(rows).save_to_disk(folder))
    return datasets.load_from_disk(folder)


def _row(pair: Pair) -> dict[str, list[dict[str, str]]]:
    return {
        "prompt": [{"role": one.role, "content": one.content} for one in pair.messages],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
    }


def _lengths(pairs: Sequence[Pair], tokenizer: Any, max_length: int) -> list[int]:
    """Tokens of each pair's prompt with its longer reply; a cut one would be learnt without its end."""
    lengths = []
    for pair in pairs:
        row = _row(pair)
        texts = [
            tokenizer.apply_chat_template([*row["prompt"], *row[reply]], tokenize=False)
            for reply in ("chosen", "rejected")
        ]
        lengths.append(max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts))
    over = [place for place, length in enumerate(lengths) if length > max_length]
    if over:
        longest = max(over, key=lengths.__getitem__)
        raise RecipeInvalid(
            f"{len(over)} pair(s) are longer than dpo.max_length ({max_length} tokens), the longest at "
            f"{pairs[longest].place} with {lengths[longest]}: raise it, or leave them out"
        )
    return lengths


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without the trainer's own bar, which only this variable turns off."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before
