"""LoRA against full fine-tuning on support chats: learning rates, ranks and seeds; loss and task scores.

The first 4,000 of Bitext's rows, one conversation in ten held back; two epochs, judged by the best loss on what is held
back and by the replies to it. LoRA's share of full fine-tuning's gain is (base - LoRA) / (base - full), seed by seed,
at the rate of each that has the lowest loss, which is chosen by the same chats.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.adapter_curves import draw
from benchmarks.chats import DROPOUT, REPLY_TOKENS, Page, Place, Rows, Run, load, read_chats, recipe, task_scores, train
from benchmarks.goals import at_least, goal_table
from training.data.split import hold_back

NAME = "rates"
ROWS = 4000
SEEDS = (1, 2, 3)
HELD_BACK = 0.1
ANSWERED = 160
"""Held-back chats that are answered for the task scores."""
GOAL = 0.97
MEASURES: Mapping[str, str] = {
    "held_back_loss": "held-back loss",
    "likeness": "words of the reference (F1)",
    "facts": "slots and figures (F1)",
}
RATES: Mapping[str, tuple[float, ...]] = {"lora": (2e-3, 4e-3, 8e-3), "full": (2e-4, 5e-4, 1e-3)}
OTHER_RANKS = ((4, 4e-3), (4, 8e-3), (64, 2e-3), (64, 4e-3))
"""Ranks, each at the rates beside which its best is looked for; rank 16 is in `RATES`."""
NO_DROPOUT = 4e-3
"""The rate at which LoRA is also trained without dropout, which full fine-tuning has not either."""
FASTER_B = ((1e-3, 4.0), (2e-3, 4.0), (5e-4, 16.0), (1e-3, 16.0))
"""Rates, and how many times faster the second matrix learns there (Hayou et al., "LoRA+", 2024)."""
Settings = tuple[str, int, float, float, float]
"""Method, rank, rate, dropout, how many times faster the second matrix learns."""


def runs(_: Place) -> list[Run]:
    """Every training, what matters most first; seed 1 was trained on an earlier day, but for the highest full rate."""
    made = [Run(NAME, "base", seed, "base", 0.0) for seed in (2, 3)]
    made += [Run(NAME, "full", seed, "full", max(RATES["full"])) for seed in SEEDS]
    made += [Run(NAME, "lora", seed, "lora", NO_DROPOUT, dropout=0.0) for seed in SEEDS]
    for place, seed in product((1, 2, 0), (2, 3)):
        made += [Run(NAME, method, seed, method, rates[place]) for method, rates in RATES.items()]
    made += [Run(NAME, "lora", 1, "lora", rate, rank) for rank, rate in OTHER_RANKS]
    made += [
        Run(NAME, "lora", seed, "lora", rate, dropout=0.0, b_rate=times) for seed in SEEDS for rate, times in FASTER_B
    ]
    return list(dict.fromkeys(made))


def one(run: Run, place: Place) -> dict[str, Any]:
    """One training, or the model as it was before any."""
    examples = read_chats(place.bitext)[: place.rows or ROWS]
    watched = hold_back(examples, HELD_BACK, run.seed)[1]
    asked, tokens = watched[: place.limit(ANSWERED)], place.tokens(REPLY_TOKENS)
    if run.arm == "base":
        model, tokenizer = load(place.base)
        return {**asdict(run), **task_scores(model, tokenizer, asked, tokens)}
    made = recipe(run, place.steps, held_back=HELD_BACK, every=114)
    return train(run, place, made, examples, lambda model, tokenizer: task_scores(model, tokenizer, asked, tokens))


def pages(rows: Rows, _: Place, results: Path) -> Iterator[Page]:
    """The page of the table, with its picture."""
    picture = results / f"{date.today().isoformat()}-adapter-rates.png"
    draw(losses(rows), picture)
    yield NAME, "Learning rates and ranks", [*report(rows), "", f"![Held-back loss by rate and rank]({picture.name})"]


def losses(rows: Rows) -> dict[str, dict[float, float]]:
    """Of each method and rank the mean held-back loss by rate."""
    found: defaultdict[str, dict[float, float]] = defaultdict(dict)
    for (method, rank, rate, dropout, b_rate), group in sorted(_groups(rows).items()):
        plus = f", B {b_rate:g} times faster" if b_rate != 1 else ""
        name = "all weights" if method == "full" else f"LoRA r{rank}{'' if dropout else ', no dropout'}{plus}"
        found[name][rate] = _loss(group)
    return dict(found)


def report(rows: Rows) -> list[str]:
    """The table of all rates, then LoRA's share of the gain, as Markdown lines."""
    before = {row["seed"]: row["held_back_loss_before"] for row in rows if row["arm"] != "base"}
    bases = {row["seed"]: {**row, "held_back_loss": before.get(row["seed"])} for row in rows if row["arm"] == "base"}
    bases = {seed: {"held_back_loss": loss} for seed, loss in before.items()} | bases
    lines = [
        f"| method | rank | dropout | learning rate | of B | runs | {' | '.join(MEASURES.values())} |",
        f"|---|---|---|---|---|---|{'---|' * len(MEASURES)}",
    ]
    groups = sorted(_groups(rows).items(), key=lambda item: (item[0][:2], -item[0][3], item[0][4], item[0][2]))
    for (method, rank, rate, dropout, b_rate), group in groups:
        shape = f"{rank} | {dropout:g}" if method == "lora" else "- | -"
        times = f"{b_rate * rate:g}" if method == "lora" else "-"
        lines.append(f"| {method} | {shape} | {rate:g} | {times} | {len(group)} | {' | '.join(_told(group))} |")
    lines.append(f"| before training | - | - | - | - | {len(bases)} | {' | '.join(_told([*bases.values()]))} |")
    goals = [at_least(what, GOAL, share) for what, share in _shares(rows, bases)]
    return [*lines, "", *goal_table(goals)] if goals else lines


def _groups(rows: Rows) -> dict[Settings, list[Mapping[str, Any]]]:
    groups: defaultdict[Settings, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["arm"] != "base":
            dropout = row.get("dropout", DROPOUT) if row["method"] == "lora" else 0.0
            b_rate = row.get("b_rate", 1.0) if row["method"] == "lora" else 1.0
            groups[row["method"], row["rank"], row["rate"], dropout, b_rate].append(row)
    return dict(groups)


def _loss(group: Rows) -> float:
    return statistics.fmean(row["held_back_loss"] for row in group)


def _shares(rows: Rows, bases: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """LoRA r16's share of full fine-tuning's gain on each measure, mean over the seeds that have both."""
    groups = _groups(rows)
    tried = {method: [key for key in groups if key[:2] == (method, 16)] for method in ("lora", "full")}
    if not all(tried.values()):
        return
    best = {method: min(keys, key=lambda key: _loss(groups[key])) for method, keys in tried.items()}
    lora, full = ({row["seed"]: row for row in groups[best[method]]} for method in ("lora", "full"))
    dropout = "" if best["lora"][3] else " without dropout"
    plus = f" (B {best['lora'][4]:g} times that)" if best["lora"][4] != 1 else ""
    rates = f"LoRA r16 at {best['lora'][2]:g}{plus}{dropout}, full at {best['full'][2]:g}"
    for name, words in MEASURES.items():
        shares = []
        for seed in sorted(lora.keys() & full.keys() & bases.keys()):
            values = [side[name] for side in (lora[seed], full[seed], bases[seed]) if side.get(name) is not None]
            if len(values) == 3 and values[1] != values[2]:
                shares.append((values[0] - values[2]) / (values[1] - values[2]))
        if shares:
            spread = f", {min(shares):.3f} to {max(shares):.3f}" if len(shares) > 1 else ""
            seeds = f"{len(shares)} seed{'s' * (len(shares) != 1)}{spread}"
            yield f"share of full fine-tuning's gain in {words}, {rates} ({seeds})", statistics.fmean(shares)


def _told(group: Rows) -> list[str]:
    """Mean and spread of each measure."""
    return [_mean_and_spread([row[name] for row in group if row.get(name) is not None]) for name in MEASURES]


def _mean_and_spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4f} to {max(values):.4f})"
