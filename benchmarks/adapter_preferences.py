"""Preference training on two voices of one vendor: how warm the replies sound before and after.

Pairs of `bitext_two_voices`, the warm reply chosen over the plain one; one pair in ten, near questions with it, is held
back and answered by the base and by the adapter. The voice score is that of a model of the warm replies of the pairs
that were trained on (`training.voice`); the warm and the plain replies themselves show what it makes of both.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.chats import REPLY_TOKENS, Page, Place, Rows, Run, halved, load
from benchmarks.goals import at_least, goal_table
from configs.training import DpoRecipe, Preferences
from training.data.preferences import Pair, Shop, hold_pairs_back, read_pairs
from training.judging.evaluation import generate
from training.judging.gate import improvement_bound
from training.progress import LineProgress
from training.recipes import dpo
from training.testing import WordSearch
from training.voice.model import Text, learn

NAME = "preferences"
SHARED = Path("../shared/data/preferences/bitext_two_voices.jsonl")
FILE = "two_voices.jsonl.gz"
HELD_BACK = 0.1
SEED = 7
RATES = (1e-4, 5e-4)
ANSWERED = 120


def prepare(place: Place) -> Iterator[str]:
    """Pack the pairs, so that they can be carried."""
    rows = [json.loads(line) for line in SHARED.read_text("utf-8").splitlines()]
    made = [{"prompt": row["prompt"], "chosen": row["warm"], "rejected": row["plain"]} for row in rows]
    with gzip.open(place.data / FILE, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in made)
    yield f"{len(made)} pairs"


def runs(_: Place) -> list[Run]:
    """A training at each rate, and the base."""
    return [*(Run(NAME, "dpo", rate=rate, epochs=1) for rate in RATES), Run(NAME, "base")]


def one(run: Run, place: Place) -> dict[str, Any]:
    """Train, or take the base, and answer the held-back prompts."""
    pairs = read(place)
    learnt, watched = hold_pairs_back(pairs, HELD_BACK, SEED)
    prompts = [pair.messages for pair in watched[: place.limit(ANSWERED)]]

    def answers(model: Any, tokenizer: Any) -> list[str]:
        with halved(model):
            return generate(model, tokenizer, prompts, max_new_tokens=place.tokens(REPLY_TOKENS), batch=128)

    if run.arm == "base":
        return {**asdict(run), "replies": answers(*load(place.base))}
    said: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:

        def keep(model: Any, tokenizer: Any) -> dict[str, int]:
            said.extend(answers(model, tokenizer))
            return {"answered": len(said)}

        trained = dpo.main(
            dpo.Job(
                _recipe(run, place),
                pairs,
                hashlib.sha256((place.data / FILE).read_bytes()).hexdigest(),
                None,
                place.base,
                Path(scratch) / "adapter" / "1",
                Path(scratch) / "runs",
                progress=LineProgress(),
                evaluate=keep,
            )
        )
        return {**asdict(run), **trained.metrics, "pairs": len(learnt), "replies": said}


def pages(rows: Rows, place: Place, _: Path) -> Iterator[Page]:
    """The page of the table."""
    yield NAME, "Preferences", report(rows, place)


def report(rows: Rows, place: Place) -> list[str]:
    """The table, as Markdown lines."""
    learnt, watched = hold_pairs_back(read(place), HELD_BACK, SEED)
    voice = learn([Text(content=one.chosen, group=str(number)) for number, one in enumerate(learnt)])
    texts: dict[str, Sequence[str]] = {
        "the warm replies themselves": [one.chosen for one in watched],
        "the plain replies themselves": [one.rejected for one in watched],
    }
    for row in rows:
        loss = f", held-back loss {row['held_back_loss']:.3f}" if "held_back_loss" in row else ""
        texts["before: the base" if row["arm"] == "base" else f"after: DPO at {row['rate']:g}{loss}"] = row["replies"]
    scores = {name: np.array([voice.score(text).score for text in said]) for name, said in texts.items()}
    lines = ["| who speaks | replies | voice score | words a reply |", "|---|---|---|---|"]
    for name, found in scores.items():
        words = fmean(len(text.split()) for text in texts[name])
        lines.append(f"| {name} | {len(found)} | {found.mean():.3f} | {words:.0f} |")
    before = scores.get("before: the base")
    goals = [
        at_least(f"{name}: voice score, lower 95 % bound of the gain", 0, improvement_bound(found, before))
        for name, found in scores.items()
        if name.startswith("after") and before is not None and len(found) == len(before)
    ]
    return [*lines, "", *goal_table(goals)] if goals else lines


def read(place: Place) -> tuple[Pair, ...]:
    """The pairs, each prompt as it stands."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "pairs.jsonl"
        plain.write_bytes(gzip.decompress((place.data / FILE).read_bytes()))
        # No prompt of service is made, so that nothing is searched.
        shop = Shop("bitext", "", WordSearch(()))
        return read_pairs(plain, Preferences(prompts="as_is", max_pairs=place.rows), shop)


def _recipe(run: Run, place: Place) -> DpoRecipe:
    return DpoRecipe.model_validate(
        {
            "name": "two_voices",
            "method": "dpo",
            "start_from": "base",
            "lora": {"r": run.rank, "lora_alpha": 2 * run.rank, "lora_dropout": 0.0},
            "pairs": {"prompts": "as_is"},
            "dpo": {
                "learning_rate": run.rate,
                "num_train_epochs": run.epochs,
                "max_steps": place.steps,
                "per_device_train_batch_size": 8 if place.steps < 0 else 1,
                "gradient_accumulation_steps": 2,
                "max_length": 1024,
                "held_back": HELD_BACK,
                "evaluate_every": 10_000 if place.steps < 0 else place.steps,
                "seed": SEED,
            },
        }
    )
