"""Adapter and knowledge, together and alone, on the sample brands' held-out questions; what distractors cost; prompts.

Questions that a page answers, with the passages that the real search finds, in the real prompt; greedy replies of the
base model and of the shipped adapter, straight from the model, without the pipeline's checks. A right fact is what
`answer_contains` names, grounded the share of sentences that the check of service lets pass on these passages (also
where the model was not shown them), voice the score of `training.voice`.
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.chats import Page, Place, Rows, Run, halved, load
from benchmarks.goals import at_least, goal_table
from retrieval.passages import Passage
from retrieval.prompt import Prompt, build_prompt
from training.judging.evaluation import SENTENCE_END, generate
from training.judging.gate import improvement_bound

NAME = "answers"
FILE = "answers.json"
DISTRACTORS = 4
ROOM = 1400
"""Tokens of all passages, so that none is cut where distractors are added."""
MAX_NEW_TOKENS = 120
BATCH = 128
ALIKE = 0.10
"""Share by which distractors may make it worse."""
FEWER_TOKENS = 0.60
GUIDE_TOKENS = 600


@dataclass(frozen=True, slots=True)
class Arm:
    """Who answers, and what it is shown."""

    words: str
    adapter: bool = False
    guide: bool = False
    passages: bool = True
    distractors: bool = False


ARMS: Mapping[str, Arm] = {
    "base": Arm("base + guide, no passages", guide=True, passages=False),
    "plain+": Arm("base + passages, no guide"),
    "base+": Arm("base + guide + passages", guide=True),
    "base++": Arm("base + guide + passages + 4 distractors", guide=True, distractors=True),
    "adapter": Arm("adapter, no passages", adapter=True, passages=False),
    "adapter+": Arm("adapter + passages", adapter=True),
    "adapter++": Arm("adapter + passages + 4 distractors", adapter=True, distractors=True),
}
TOGETHER = "adapter+"
ALONE = ("adapter", "base+", "plain+")
"""What knowledge and adapter are compared with: the adapter alone, and knowledge alone with and without the guide."""
MEASURES: Mapping[str, str] = {
    "fact": "right fact",
    "grounded": "grounded",
    "voice": "voice",
    "both": "right fact in the brand's voice (the product)",
}


def prepare(place: Place) -> Iterator[str]:
    """Search passages and distractors for all questions, where the knowledge base is; writes `answers.json`."""
    from configs.load import configs_folder, load_config
    from training.conversations import read_questions
    from training.examples.sources import Source

    brands: dict[str, Any] = {}
    for name, brand in load_config(configs_folder(os.environ), os.environ).brands.items():
        if brand.questions is None or brand.shipped_adapter is None:
            continue
        source = Source.open(name, os.environ)
        questions: list[dict[str, Any]] = []
        for asked in read_questions(brand.questions):
            if asked.document is None:
                continue
            found = source.knowledge.search(asked.question, top_k=400).passages
            shown, rest = found[: brand.retrieval.top_k], found[brand.retrieval.top_k :]
            others = [one for one in rest if one.document != asked.document][:DISTRACTORS]
            questions.append(
                {
                    "id": asked.id,
                    "question": asked.question,
                    "document": asked.document,
                    "answer_contains": asked.answer_contains,
                    "passages": [asdict(one) for one in shown],
                    "distractors": [asdict(one) for one in others],
                }
            )
        brands[name] = {"display_name": brand.display_name, "guide": source.guide, "questions": questions}
        hits = sum(any(p["document"] == q["document"] for p in q["passages"]) for q in questions)
        yield f"{name}: {len(questions)} questions that a page answers, the page among the passages of {hits}"
    (place.data / FILE).write_text(json.dumps(brands, ensure_ascii=False), encoding="utf-8")


def runs(place: Place) -> list[Run]:
    """A process for each brand and model; one answers several arms."""
    return [Run(NAME, f"{brand}/{model}") for brand in read_prepared(place) for model in ("base", "adapter")]


def read_prepared(place: Place) -> dict[str, Any]:
    """What `prepare` wrote."""
    prepared: dict[str, Any] = json.loads((place.data / FILE).read_text("utf-8"))
    return prepared


def one(run: Run, place: Place) -> dict[str, Any]:
    """All replies of one brand's base model or adapter."""
    name, _, model_name = run.arm.partition("/")
    brand = read_prepared(place)[name]
    model, tokenizer = load(place.base)
    if model_name == "adapter":
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, Path("samples") / name / "adapter").eval()
    arms = [arm for arm, how in ARMS.items() if how.adapter == (model_name == "adapter")]
    told = [reply for arm in arms for reply in answer(brand, arm, model, tokenizer, place)]
    return {**asdict(run), "brand": name, "replies": told}


def answer(brand: Mapping[str, Any], arm: str, model: Any, tokenizer: Any, place: Place) -> list[dict[str, str]]:
    """Greedy replies to all questions of a brand in one arm."""
    questions = brand["questions"][: place.limit(len(brand["questions"]))]
    prompts = [prompt_of(brand, question, ARMS[arm]).messages for question in questions]
    with halved(model):
        replies = generate(model, tokenizer, prompts, max_new_tokens=place.tokens(MAX_NEW_TOKENS), batch=BATCH)
    return [{"arm": arm, "id": one["id"], "reply": said} for one, said in zip(questions, replies, strict=True)]


def prompt_of(brand: Mapping[str, Any], question: Mapping[str, Any], arm: Arm) -> Prompt:
    """The prompt of service for one question and arm."""
    passages = [Passage(**one) for one in question["passages"]] if arm.passages else []
    if arm.distractors:
        passages += [Passage(**one) for one in question["distractors"]]
        # In any order, so that the right one does not stand in front.
        random.Random(question["id"]).shuffle(passages)  # noqa: S311  (reproducible, not secret)
    return build_prompt(
        "answer",
        question["question"],
        display_name=brand["display_name"],
        passages=passages,
        guide=brand["guide"] if arm.guide else None,
        max_source_tokens=ROOM,
    )


Scores = dict[str, dict[str, dict[str, float]]]
"""By arm, measure and question."""


def scored(name: str, brand: Mapping[str, Any], rows: Rows) -> Scores:
    """Measure all replies of one brand; needs its knowledge and encoder."""
    from training.examples.sources import Source, brand_terms, grounding_check
    from training.voice.brand import page_texts, texts_of
    from training.voice.model import learn

    source = Source.open(name, os.environ)
    check = grounding_check(source.encoder)
    pages = [page for one in source.config.brands.values() for page in page_texts(one)]
    voice = learn(texts_of(source.brand), guide=source.guide, brand_terms=brand_terms(source.config), pages=pages)
    questions = {one["id"]: one for one in brand["questions"]}
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    for told in (reply for row in rows if row["brand"] == name for reply in row["replies"]):
        question, arm, reply = questions[told["id"]], told["arm"], told["reply"]
        passages = [Passage(**one) for one in question["passages"]]
        passages += [Passage(**one) for one in question["distractors"]] if ARMS[arm].distractors else []
        sentences = [one for one in SENTENCE_END.split(reply) if one.strip()]
        found = {
            "fact": float(all(part.lower() in reply.lower() for part in question["answer_contains"])),
            "grounded": fmean(check(one, passages, question["question"]) for one in sentences) if sentences else 0.0,
            "voice": voice.score(reply).score,
        }
        found["both"] = found["fact"] * found["voice"]
        for measure, value in found.items():
            scores[arm][measure][told["id"]] = value
    return scores


def pages(rows: Rows, place: Place, _: Path) -> Iterator[Page]:
    """The pages of both tables that are made of the replies."""
    told = {row["brand"] for row in rows}
    scores = {name: scored(name, brand, rows) for name, brand in read_prepared(place).items() if name in told}
    yield "together", "Adapter and knowledge, together and alone", report(scores)
    yield "prompt", "Voice and prompt", prompt_report(place, scores)


def report(scores: Mapping[str, Scores]) -> list[str]:
    """Tables of all brands and of both together, and the goals, as Markdown lines."""
    lines = []
    everything = _joined(scores)
    for name, found in {**scores, "both brands": everything}.items():
        lines += ["", f"### {name}", "", f"| {' | '.join(['who answers', 'cases', *MEASURES.values()])} |"]
        lines.append(f"|---|---|{'---|' * len(MEASURES)}")
        for arm, how in ARMS.items():
            if arm in found:
                means = [f"{fmean(found[arm][measure].values()):.3f}" for measure in MEASURES]
                lines.append(f"| {' | '.join([how.words, str(len(found[arm]['fact'])), *means])} |")
    lines += ["", "Adapter and knowledge against either alone, both brands: lower 95 % bound of the gain, paired.", ""]
    goals = [
        at_least(f"{words}, gain over {ARMS[rival].words} ({_gain(everything, measure, rival):+.3f})", 0, bound)
        for measure, words in MEASURES.items()
        for rival in ALONE
        if (bound := _bound(everything, measure, TOGETHER, rival)) is not None
    ]
    lines += [*goal_table(goals), "", f"With {DISTRACTORS} distractors added, as a share of without.", ""]
    return [*lines, *goal_table(_with_distractors(everything))]


def _with_distractors(scores: Scores) -> Iterator[Any]:
    for measure in ("fact", "grounded", "both"):
        without, beside = (fmean(scores[arm][measure].values()) for arm in (TOGETHER, f"{TOGETHER}+"))
        if without:
            yield at_least(MEASURES[measure], 1 - ALIKE, beside / without)


def prompt_report(place: Place, scores: Mapping[str, Scores]) -> list[str]:
    """Tokens of the whole prompt, counted with the base model's tokenizer, and the voice where replies are there."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place.base)
    lines = [
        "| brand | guide | prompt of base + guide | prompt of adapter | fewer | voice, base + guide | voice, adapter |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    goals = []
    for name, brand in read_prepared(place).items():
        guide = len(tokenizer(brand["guide"])["input_ids"])
        long, short = (
            fmean(_tokens(tokenizer, prompt_of(brand, question, ARMS[arm])) for question in brand["questions"])
            for arm in ("base+", TOGETHER)
        )
        voices = ["-", "-"]
        goals.append(at_least(f"{name}: tokens of the whole prompt saved", FEWER_TOKENS, 1 - short / long))
        if name in scores:
            voices = [f"{fmean(scores[name][arm]['voice'].values()):.3f}" for arm in ("base+", TOGETHER)]
            bound = _bound(scores[name], "voice", TOGETHER, "base+")
            if bound is not None:
                goals.append(at_least(f"{name}: voice score, lower 95 % bound of the gain", 0, bound))
        shown = [name, f"{guide}", f"{long:.0f}", f"{short:.0f}", f"{1 - short / long:.1%}", *voices]
        lines.append(f"| {' | '.join(shown)} |")
    return [*lines, "", *goal_table(goals)]


def _tokens(tokenizer: Any, prompt: Prompt) -> int:
    messages = [{"role": one.role, "content": one.content} for one in prompt.messages]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _joined(scores: Mapping[str, Scores]) -> Scores:
    joined: Scores = defaultdict(lambda: defaultdict(dict))
    for found in scores.values():
        for arm, measures in found.items():
            for measure, values in measures.items():
                joined[arm][measure].update(values)
    return joined


def _gain(scores: Scores, measure: str, rival: str) -> float:
    return fmean(scores[TOGETHER][measure].values()) - fmean(scores[rival][measure].values())


def _bound(scores: Scores, measure: str, mine: str, rival: str) -> float | None:
    """Lower 95 % bound of the mean paired difference; None where an arm was not measured."""
    if mine not in scores or rival not in scores:
        return None
    cases = sorted(scores[mine][measure].keys() & scores[rival][measure].keys())
    after, before = (np.array([scores[arm][measure][case] for case in cases]) for arm in (mine, rival))
    return improvement_bound(after, before)
