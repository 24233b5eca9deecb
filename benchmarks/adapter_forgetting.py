"""What a brand's adapter costs in general ability, with and without general conversations mixed into its training.

The base, the shipped adapter of each sample brand, and adapters of the shipped recipe with a fifth of general
conversations: multiple choice, instructions that code can check, loss on general text (`training.general`); and
whether the model with its adapter off is its base, token by token. What is mixed in are the better replies of public
preference pairs, of which none is asked here.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.chats import Page, Place, Rows, Run
from benchmarks.goals import at_least, at_most, goal_table
from configs.training import Recipe, read_recipe
from training.example_files import read_examples, write_examples
from training.general import adapter_off, measure_general, read_cases
from training.progress import LineProgress
from training.recipes import lora_sft

NAME = "forgetting"
SHARED = Path("../shared/data")
GENERAL = "general.jsonl"
MIXED_IN = ("preferences/dpo_en_demo.jsonl", "preferences/pandalm_pairs.jsonl")
SHARES = (0.2,)
RECIPE = Path("configs/training/lora_sft.yaml")
HIGHER = 0.03
"""Share by which the loss on general text may rise."""
OFF_PROMPTS = 32
MEASURES: Mapping[str, str] = {
    "loss": "loss on general text",
    "choices": "multiple choice",
    "instructions": "instructions",
}


def prepare(place: Place) -> Iterator[str]:
    """Write the cases, and each brand's examples with general ones, where shared data and knowledge base are."""
    from training.example_command import build, data_digest
    from training.sources import Source

    cases = [*_lines("general/multiple_choice.jsonl"), *_lines("general/ifeval.jsonl"), *_texts()]
    (place.data / GENERAL).write_text("".join(json.dumps(one) + "\n" for one in cases), encoding="utf-8")
    mixed = place.data / "mixed_in.jsonl"
    rows = [{"messages": [*_chat(row), {"role": "assistant", "content": row["chosen"]}]} for row in _lines(*MIXED_IN)]
    mixed.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    yield f"{len(cases)} general cases; {len(rows)} general conversations"
    data = read_recipe(RECIPE).data.model_copy(update={"general": mixed, "general_share": max(SHARES)})
    for name in _brands():
        source = Source.open(name, os.environ)
        built = build(source, data)
        plain = place.data / f"{name}.jsonl"
        write_examples(plain, built, data_sha256=data_digest(source, data))
        with plain.open("rb") as read, gzip.open(place.data / f"{name}.jsonl.gz", "wb") as packed:
            shutil.copyfileobj(read, packed)
        plain.unlink()
        yield f"{name}: {len(built.examples)} examples, {dict(built.report.kinds)}"
    mixed.unlink()


def runs(place: Place) -> list[Run]:
    """What is trained first, because it takes longest."""
    names = sorted(path.name.removesuffix(".jsonl.gz") for path in place.data.glob("*.jsonl.gz"))
    recipe = read_recipe(RECIPE)
    how: dict[str, Any] = {
        "rate": recipe.sft.learning_rate,
        "rank": recipe.lora.r,
        "epochs": recipe.sft.num_train_epochs,
    }
    trained = [Run(NAME, f"{name}/{share:g}", **how) for share in SHARES for name in names]
    return [*trained, *(Run(NAME, f"{name}/shipped") for name in names), Run(NAME, "base")]


def one(run: Run, place: Place) -> dict[str, Any]:
    """Train where the arm is a share, then measure."""
    name, _, what = run.arm.partition("/")
    if run.arm == "base":
        return {**_row(run), **_measured(place, None)}
    if what == "shipped":
        return {**_row(run), **_measured(place, Path("samples") / name / "adapter")}
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "examples.jsonl"
        with gzip.open(place.data / f"{name}.jsonl.gz") as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file)
        examples, digest, knowledge = read_examples(plain)
        trained = lora_sft.main(
            lora_sft.Job(
                _recipe(float(what), plain, place, run.seed),
                examples,
                digest,
                knowledge,
                place.base,
                Path(scratch) / "adapter" / "1",
                Path(scratch) / "runs",
                progress=LineProgress(),
            )
        )
        return {**_row(run), **trained.metrics, **_measured(place, trained.folder)}


def pages(rows: Rows, _: Place, __: Path) -> Iterator[Page]:
    """The page of the table."""
    yield NAME, "Forgetting", report(rows)


def report(rows: Rows) -> list[str]:
    """The table and its goals, as Markdown lines; means over brands."""
    base = next((row for row in rows if row["arm"] == "base"), None)
    if base is None:
        return ["The base was not measured."]
    lines = [f"| model | {' | '.join(MEASURES.values())} | loss against the base | adapter off: the base's replies |"]
    lines.append(f"|---|{'---|' * len(MEASURES)}---|---|")
    lines.append(f"| {' | '.join(['base', *_shown(base), '-', '-'])} |")
    kinds = {"shipped": "shipped, nothing mixed in", **{f"{one:g}": f"{one:.0%} mixed in" for one in SHARES}}
    goals = []
    for kind, words in kinds.items():
        group = [row for row in rows if row["arm"].endswith(f"/{kind}")]
        for row in sorted(group, key=lambda row: str(row["arm"])):
            rise = row["scores"]["loss"] / base["scores"]["loss"] - 1
            off = f"{row['off']['identical']} of {row['off']['prompts']} ({row['off']['changed']} change with it on)"
            name = row["arm"].partition("/")[0]
            lines.append(f"| {' | '.join([f'{name}: {words}', *_shown(row), f'{rise:+.1%}', off])} |")
        if group:
            rise = fmean(row["scores"]["loss"] for row in group) / base["scores"]["loss"] - 1
            goals.append(at_most(f"loss on general text above the base's, adapter on, {words}", HIGHER, rise))
            same = fmean(row["off"]["identical"] / row["off"]["prompts"] for row in group)
            goals.append(at_least(f"adapter off, replies that are the base's, {words}", 1, same))
    counts = ", ".join(f"{base['cases'][name]} {words}" for name, words in MEASURES.items() if name in base["cases"])
    return [*lines, "", *goal_table(goals), "", f"Cases: {counts}."]


def _row(run: Run) -> dict[str, Any]:
    return asdict(run)


def _shown(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['scores'][name]:.4f}" if name in row["scores"] else "-" for name in MEASURES]


def _measured(place: Place, adapter: Path | None) -> dict[str, Any]:
    import torch

    files = [place.data / GENERAL]
    # Named, because a card that others fill would leave it to the CPU, on fewer cases.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    limit = None if place.rows is None else 4
    found = measure_general(place.base, adapter, files=files, limit=limit, device=device, progress=LineProgress())
    measured: dict[str, Any] = {"scores": dict(found.scores), "cases": dict(found.cases), "measured_on": found.device}
    if adapter is not None:
        prompts = [case.prompt for case in read_cases(files).instructions[: place.limit(OFF_PROMPTS)]]
        measured["off"] = asdict(adapter_off(place.base, adapter, prompts, device=device))
    return measured


def _recipe(share: float, general: Path, place: Place, seed: int) -> Recipe:
    recipe = read_recipe(RECIPE)
    data = recipe.data.model_copy(update={"general": general, "general_share": share, "max_examples": place.rows})
    # The recipe's steps, in halves that leave others room on the card.
    row, count = recipe.sft.per_device_train_batch_size // 2, recipe.sft.gradient_accumulation_steps * 2
    if place.steps > 0:
        row, count = 1, 1
    # General conversations are longer than a support chat.
    halves = {"per_device_train_batch_size": row, "gradient_accumulation_steps": count, "max_length": 1408}
    sft = recipe.sft.model_copy(update={"max_steps": place.steps, "seed": seed, **halves})
    return recipe.model_copy(update={"data": data, "sft": sft})


def _brands() -> list[str]:
    from configs.load import configs_folder, load_config

    brands = load_config(configs_folder(os.environ), os.environ).brands
    return [name for name, brand in brands.items() if brand.shipped_adapter is not None]


def _lines(*names: str) -> list[dict[str, Any]]:
    return [json.loads(line) for name in names for line in (SHARED / name).read_text("utf-8").splitlines()]


def _texts() -> Iterator[dict[str, str]]:
    """Worked problems and paragraphs of an encyclopedia, as general text."""
    for row in _lines("general/gsm8k.jsonl"):
        yield {"id": row["id"], "text": f"{row['question']}\n{row['solution']}"}
    paragraphs = _lines("rag/squad2_corpus.jsonl")
    for row in paragraphs[:: max(1, len(paragraphs) // 100)]:
        yield {"id": row["id"], "text": row["text"]}


def _chat(row: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"role": one["role"], "content": one["content"]} for one in row["prompt"]]
