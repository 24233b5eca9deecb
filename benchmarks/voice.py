"""How surely a voice score tells a house's replies from others that it never saw, and how fast.

    python -m benchmarks.voice [--models N [--replies FILE]] [--data ../shared/data] [--out benchmarks/results/FILE.md]

Every reply is scored by a model that was trained without it and without its conversation (five folds). The subject is
hidden: the content words of all houses' pages, their names and numbers. Others: the other sample house, the neutral
replies (each fifth by a model of the other four), and the first two sentences of public support replies, which no
model saw. With `--models N` also what the base model, without and with the voice guide, and the shipped adapter say
to N held-out questions of each house on the passages that service would show (needs a prepared state folder; about
eight seconds a reply on one core); `--replies` keeps these in a file, and reads them from it where it is there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.retrieval_goals import machine
from configs.brand import Brand
from configs.load import Config, load_config
from retrieval.language.sentences import split_sentences
from training.voice.brand import page_texts, texts_of
from training.voice.measuring import HeldOut, area, calibration_error, held_out
from training.voice.model import VoiceModel, learn

DATA = Path("../shared/data")
BITEXT = "support_chat/bitext_singleturn.jsonl.gz"
OTHER, PUBLIC, BASE, GUIDED, ADAPTER = (
    "the other house",
    "public support replies",
    "the base model",
    "the base model with the voice guide",
    "the shipped adapter",
)
PUBLIC_ROWS = 400


@dataclass(frozen=True)
class Row:
    """One house against one kind of others."""

    house: str
    others: str
    count: int
    value: float
    low: float
    high: float
    taken: float
    """Share of the others that score 0.5 or more."""
    mean: float


def measure(config: Config, name: str, spoken: Mapping[str, Sequence[str]]) -> tuple[HeldOut, list[Row]]:
    """Score one house's replies and all others."""
    brand = config.brands[name]
    seen = held_out(texts_of(brand), spoken, guide=_guide(brand), brand_terms=_names(config), pages=_pages(config))
    rows = []
    for others, scores in {"neutral replies": seen.neutral, **seen.others}.items():
        found = area(seen.own, seen.groups, scores)
        taken = fmean(one >= 0.5 for one in scores)
        rows.append(Row(name, others, len(scores), found.value, found.low, found.high, taken, fmean(scores)))
    return seen, rows


def public_replies(folder: Path) -> list[str]:
    """Bitext's support replies, cut to two sentences so that length does not give them away; none where absent."""
    path = folder / BITEXT
    if not path.is_file():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["messages"][-1]["content"] for line in file]
    step = max(1, len(rows) // PUBLIC_ROWS)
    return [" ".join(split_sentences(row)[:2]) for row in rows[::step][:PUBLIC_ROWS]]


def model_replies(name: str, count: int) -> dict[str, list[str]]:
    """What the base model, without and with the voice guide, and the shipped adapter say to a house's questions."""
    import torch
    import transformers
    from peft import PeftModel

    from configs.base_manifest import base_folder
    from training.examples.command import probes
    from training.examples.sources import Source
    from training.judging.evaluation import generate

    source = Source.open(name, os.environ)
    folder = base_folder(source.home.models, source.config.service.models.base)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    asked = probes(source)[:count]
    said = {
        BASE: generate(model, tokenizer, [one.messages for one in asked], max_new_tokens=80, batch=4),
        GUIDED: generate(model, tokenizer, [one.guided for one in asked], max_new_tokens=80, batch=4),
    }
    if source.brand.shipped_adapter is not None:
        model = PeftModel.from_pretrained(model, source.brand.shipped_adapter)
        model.eval()
        said[ADAPTER] = generate(model, tokenizer, [one.messages for one in asked], max_new_tokens=80, batch=4)
    return said


def speed(config: Config, name: str) -> tuple[float, float]:
    """Processor seconds to learn a house, and milliseconds to score a reply."""
    brand = config.brands[name]
    began = time.process_time()
    model = _learn(config, brand)
    learnt = time.process_time() - began
    texts = [one.content for one in texts_of(brand)]
    began = time.process_time()
    for text in texts:
        model.score(text)
    return learnt, 1000 * (time.process_time() - began) / len(texts)


def _learn(config: Config, brand: Brand) -> VoiceModel:
    return learn(texts_of(brand), guide=_guide(brand), brand_terms=_names(config), pages=_pages(config))


def _guide(brand: Brand) -> str:
    return brand.voice_guide.read_text(encoding="utf-8")


def _names(config: Config) -> list[str]:
    return [name for brand in config.brands.values() for name in (brand.name, brand.display_name)]


def _pages(config: Config) -> list[str]:
    return [page for brand in config.brands.values() for page in page_texts(brand)]


def kept_replies(houses: Sequence[str], count: int, kept: Path | None) -> dict[str, dict[str, list[str]]]:
    """What the models say to each house's questions, from a file where it is there; empty where none are wanted."""
    if not count:
        return {}
    if kept is not None and kept.is_file():
        told: dict[str, dict[str, list[str]]] = json.loads(kept.read_text(encoding="utf-8"))
        return told
    told = {name: model_replies(name, count) for name in houses}
    if kept is not None:
        kept.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return told


def run(config: Config, data: Path, models: int, kept: Path | None) -> Iterator[str]:
    """The lines of the page."""
    houses = [name for name, brand in config.brands.items() if brand.conversations is not None]
    rows: list[Row] = []
    own = []
    public = public_replies(data)
    said = kept_replies(houses, models, kept)
    for name in houses:
        spoken: dict[str, Sequence[str]] = {
            OTHER: [one.content for other in houses if other != name for one in texts_of(config.brands[other])]
        }
        if public:
            spoken[PUBLIC] = public
        spoken |= said.get(name, {})
        seen, found = measure(config, name, spoken)
        rows += found
        taken = fmean(one >= 0.5 for one in seen.own)
        own.append((name, len(seen.own), taken, fmean(seen.own), calibration_error(seen.own, seen.neutral)))
    yield f"# Voice scores, {date.today().isoformat()}\n"
    yield f"`python -m benchmarks.voice{f' --models {models}' if models else ''}` on {machine()}.\n"
    yield "Held-out replies, subject hidden; 95 % bootstrap intervals over conversations.\n"
    yield "| house | told from | replies | AUC | 95 % | mean score | 0.5 or more |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        told = f"{row.value:.3f} | {row.low:.3f} to {row.high:.3f} | {row.mean:.2f} | {row.taken:.0%}"
        yield f"| {row.house} | {row.others} | {row.count} | {told} |"
    yield "\n| house | own replies | 0.5 or more | mean score | calibration error | learnt in | a reply |"
    yield "|---|---|---|---|---|---|---|"
    for name, count, taken, mean, error in own:
        seconds, each = speed(config, name)
        yield f"| {name} | {count} | {taken:.0%} | {mean:.2f} | {error:.3f} | {seconds:.1f} s | {each:.1f} ms |"
    yield "\nCalibration error: own against neutral replies, both sides weighing the same."
    if not public:
        yield f"\nNo public support replies: there is no {data / BITEXT}."


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=0, metavar="N", help="questions of each house put to the models")
    parser.add_argument("--replies", type=Path, metavar="FILE", help="where the models' replies are kept")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of public data")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = "\n".join(run(load_config(Path("configs"), {}), arguments.data, arguments.models, arguments.replies)) + "\n"
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
