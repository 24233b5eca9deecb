"""What a brand's adapter costs in general ability, and what helps: general conversations, learnt or held to the base.

The base, the shipped adapter of each sample brand, and adapters trained in several ways (`WAYS`): multiple choice,
instructions that code can check, loss on general text (`training.judging.general`); if a model with its adapter off
is its base, token by token; and what the adapter is for, the loss on the brand's own conversations that were held back,
voice and right facts of the replies to its held-out questions, as in `benchmarks.adapter_answers`. General
conversations are the better replies of public preference pairs ("people's"), or prompts of ours with the base's own
replies (samples/general.jsonl); none is asked here.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import adapter_answers
from benchmarks.adapter_answers import TOGETHER
from benchmarks.chats import Page, Place, Rows, Run, load, reply_loss
from benchmarks.goals import at_least, at_most, goal_table
from configs.training import Recipe, read_recipe
from training.data.general import general_examples, general_sha256
from training.examples.files import read_examples, write_examples
from training.examples.rendering import Example, general_count
from training.judging.general import adapter_off, measure_general, read_cases
from training.progress import LineProgress
from training.recipes import sft

NAME = "forgetting"
SHARED = Path("../shared/data")
GENERAL = "general_cases.jsonl"
PEOPLE = "people.jsonl"
OWN = Path("samples/general.jsonl")
MIXED_IN = ("preferences/dpo_en_demo.jsonl", "preferences/pandalm_pairs.jsonl")
RECIPE = Path("configs/training/lora.yaml")


@dataclass(frozen=True, slots=True)
class Way:
    """How general conversations take part in a training."""

    words: str
    share: float = 0.0
    """Of all examples."""
    whose: str = "own"
    """`own`: the base's replies; `people`: other ones."""
    held: float = 0.0
    """Weight by which the adapter is held to the base (`sft.distillation`); 0 learns the conversations."""
    rate: float = 1e-3
    watched: bool = True
    """Whether some chats are held back and the best state is taken; else all are learnt, to the last step."""


EPOCHS = 4
SEED = 7
VERSION = "v2"
"""Of what is trained: version 1 is the shipped adapter that is beside it in the table."""
FAST = {
    "packing": True,
    "weights": "bfloat16",
    "fused_lora": True,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
}
"""Rows of 1,024 tokens, four a step: about 13 of a brand's examples."""
WAYS: Mapping[str, Way] = {
    "none": Way("nothing mixed in"),
    "people": Way("20 % of people's, learnt", 0.2, "people"),
    "own": Way("20 % of the base's own, learnt", 0.2),
    "held": Way("20 % of the base's own, held to the base", 0.2, held=1.0),
    "held-more": Way("35 %, held", 0.35, held=1.0),
    "held-slow": Way("35 %, held, half the rate", 0.35, held=1.0, rate=5e-4),
    "own-more": Way("35 % of the base's own, learnt", 0.35),
    "held-end": Way("20 %, held, to the last step", 0.2, held=1.0, watched=False),
    "held-end-slow": Way("20 %, held, to the last step, a third of the rate", 0.2, held=1.0, rate=3e-4, watched=False),
    "slow": Way("nothing mixed in, a third of the rate", rate=3e-4),
    "held-people": Way("35 % of people's, held", 0.35, "people", held=1.0),
}
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
    from training.examples.command import build, data_digest
    from training.examples.sources import Source

    cases = [*_lines("general/multiple_choice.jsonl"), *_lines("general/ifeval.jsonl"), *_texts()]
    (place.data / GENERAL).write_text("".join(json.dumps(one) + "\n" for one in cases), encoding="utf-8")
    rows = [{"messages": [*_chat(row), {"role": "assistant", "content": row["chosen"]}]} for row in _lines(*MIXED_IN)]
    (place.data / PEOPLE).write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    yield f"{len(cases)} general cases; {len(rows)} general conversations of people"
    for name in _brands():
        source = Source.open(name, os.environ)
        data = read_recipe(RECIPE).data.model_copy(update={"general": None, "general_share": 0})
        built = build(source, data)
        plain = place.data / f"{name}.jsonl"
        write_examples(plain, built, data_sha256=data_digest(source, data))
        with plain.open("rb") as read, gzip.open(_packed(place, name), "wb") as packed:
            shutil.copyfileobj(read, packed)
        plain.unlink()
        yield f"{name}: {len(built.examples)} examples, {dict(built.report.kinds)}"


def runs(place: Place) -> list[Run]:
    """The base first, because all is compared with it."""
    names = sorted(path.name.split(".")[0] for path in place.data.glob("*.examples.gz"))
    made = [
        Run(NAME, f"{name}/{way}", SEED, rate=how.rate, epochs=EPOCHS) for way, how in WAYS.items() for name in names
    ]
    return [Run(NAME, "base"), *made, *(Run(NAME, f"{name}/shipped") for name in names)]


def one(run: Run, place: Place) -> dict[str, Any]:
    """Train where the arm is a way, then measure."""
    name, _, what = run.arm.partition("/")
    if run.arm == "base":
        return {**asdict(run), **_measured(place, None)}
    if what == "shipped":
        folder = Path("samples") / name / "adapter"
        return {**asdict(run), **_measured(place, folder), **_answers(place, name, folder)}
    way = WAYS[what]
    with tempfile.TemporaryDirectory() as scratch:
        examples, digest, knowledge = _examples(place, name, Path(scratch))
        recipe = _recipe(way, place, run)
        if recipe.data.general is not None:
            count = general_count(len(examples), way.share)
            examples += general_examples(recipe.data.general, recipe.data, count, name)[0]
            digest = general_sha256(digest, recipe.data.general)
        trained = sft.main(
            sft.Job(
                recipe,
                examples,
                digest,
                knowledge,
                place.base,
                (place.keep or Path(scratch)) / VERSION,
                Path(scratch) / "runs",
                progress=LineProgress(),
                evaluate=lambda model, tokenizer: _own_loss(model, tokenizer, examples, recipe),
            )
        )
        measured = _measured(place, trained.folder)
        return {**asdict(run), **trained.metrics, **measured, **_answers(place, name, trained.folder)}


def _own_loss(model: Any, tokenizer: Any, examples: Sequence[Example], recipe: Recipe) -> dict[str, float]:
    """Loss on the brand's own conversations that were held back: general ones may stand among what was watched."""
    _, watched, _ = sft.split(examples, recipe)
    own = [one for one in watched if one.kind != "general"]
    return {"own_loss": round(reply_loss(model, tokenizer, own, batch=8), 4)} if own else {}


def _answers(place: Place, name: str, adapter: Path) -> dict[str, Any]:
    """Greedy replies to the brand's held-out questions with the passages that search finds, in the real prompt."""
    from peft import PeftModel

    model, tokenizer = load(place.base)
    model = PeftModel.from_pretrained(model, adapter).eval()
    brand = adapter_answers.read_prepared(place)[name]
    return {"brand": name, "replies": adapter_answers.answer(brand, TOGETHER, model, tokenizer, place)}


def pages(rows: Rows, place: Place, _: Path) -> Iterator[Page]:
    """The page of the table."""
    brands = adapter_answers.read_prepared(place)
    told = {}
    for row in rows:
        if "replies" in row:
            scores = adapter_answers.scored(row["brand"], brands[row["brand"]], [row])[TOGETHER]
            told[row["arm"]] = {measure: fmean(scores[measure].values()) for measure in ("fact", "voice")}
    yield NAME, "Forgetting", report(rows, told)


def report(rows: Rows, told: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The table and its goals, as Markdown lines; means over brands."""
    base = next((row for row in rows if row["arm"] == "base"), None)
    if base is None:
        return ["The base was not measured."]
    head = ["model", *MEASURES.values(), "loss against the base", "adapter off: the base's replies"]
    head += ["loss on own chats", "right facts", "voice"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines.append(f"| {' | '.join(['base', *_shown(base), *['-'] * (len(head) - 4)])} |")
    kinds = {"shipped": "version 1, nothing mixed in", **{name: way.words for name, way in WAYS.items()}}
    goals = []
    for kind, words in kinds.items():
        group = [row for row in rows if row["arm"].endswith(f"/{kind}")]
        for row in sorted(group, key=lambda row: str(row["arm"])):
            rise = row["scores"]["loss"] / base["scores"]["loss"] - 1
            off = f"{row['off']['identical']} of {row['off']['prompts']} ({row['off']['changed']} change with it on)"
            own = f"{row['own_loss']:.3f}" if "own_loss" in row else "-"
            said = [f"{told[row['arm']][measure]:.3f}" if row["arm"] in told else "-" for measure in ("fact", "voice")]
            name = row["arm"].partition("/")[0]
            lines.append(f"| {' | '.join([f'{name}: {words}', *_shown(row), f'{rise:+.1%}', off, own, *said])} |")
        if group:
            rise = fmean(row["scores"]["loss"] for row in group) / base["scores"]["loss"] - 1
            goals.append(at_most(f"loss on general text above the base's, adapter on, {words}", HIGHER, rise))
            same = fmean(row["off"]["identical"] / row["off"]["prompts"] for row in group)
            goals.append(at_least(f"adapter off, replies that are the base's, {words}", 1, same))
    counts = ", ".join(f"{base['cases'][name]} {words}" for name, words in MEASURES.items() if name in base["cases"])
    return [*lines, "", *goal_table(goals), "", f"Cases: {counts}."]


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


def _recipe(way: Way, place: Place, run: Run) -> Recipe:
    recipe = read_recipe(RECIPE)
    general = place.data / PEOPLE if way.whose == "people" else _own(place)
    mixed = {"general": general, "general_share": way.share} if way.share else {"general": None, "general_share": 0}
    data = recipe.data.model_copy(update={"max_examples": place.rows, **mixed})
    settings = recipe.sft.model_copy(
        update={
            "learning_rate": run.rate,
            "num_train_epochs": run.epochs,
            "max_steps": place.steps,
            "distillation": way.held,
            "seed": run.seed,
            **({} if way.watched else {"held_back": 0.0, "patience": 0}),
            # People's conversations are longer than a support chat.
            **({"max_length": 1408} if way.whose == "people" else {}),
            **(FAST if place.steps < 0 else {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}),
        }
    )
    lora = recipe.lora.model_copy(update={"lora_dropout": 0.0})
    return Recipe.model_validate(
        {**recipe.model_copy(update={"data": data, "sft": settings, "lora": lora}).model_dump(), "data": data}
    )


def _own(place: Place) -> Path:
    """The base's own replies; where they were made beside the runs, those."""
    made = place.data / OWN.name
    return made if made.is_file() else OWN


def _packed(place: Place, name: str) -> Path:
    return place.data / f"{name}.examples.gz"


def _examples(place: Place, name: str, scratch: Path) -> tuple[tuple[Example, ...], str, str | None]:
    """A brand's own examples, the digest of what they were made from, and the version of its knowledge."""
    plain = scratch / "examples.jsonl"
    with gzip.open(_packed(place, name)) as packed, plain.open("wb") as file:
        shutil.copyfileobj(packed, file)
    examples, digest, knowledge = read_examples(plain)
    return tuple(examples), digest, knowledge


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
