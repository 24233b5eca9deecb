"""From answers to values a case, for each voice; what the gate and the report are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from configs.brand import Gate
from configs.cases import MIN_CASES_A_MEASURE
from training.conversations import Question
from training.judging.comparison.asking import Answer, Asked
from training.judging.gate import ALWAYS, Kind, Measured, improvement_bound
from training.judging.overlap import Overlap

Score = Callable[[str], float]
"""A text's value, 0 to 1."""
TOLD: Mapping[str, Kind] = {"rouge_l": Kind("ROUGE-L with the references"), "bleu": Kind("BLEU with the references")}
"""Measures that the report tells and the gate does not know: one likeness with the references is judged, chrF."""
TIMES = ("first_token_ms", "tokens_per_s")
"""Vary with what else the machine does: told always, judged only where the brand's YAML names them."""
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class Scorers:
    """What reads texts."""

    voice: Score
    overlap: Callable[[str, str], Overlap]
    """(reply, reference) -> how much they have in common."""
    leaks: Callable[[str, Sequence[str]], bool]
    """(text, what it may quote: passages and question) -> whether it gives training text away."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A measure of one voice."""

    mean: float
    low: float
    high: float
    """Both ends of the 90 % interval: each is the gate's one-sided bound of 95 %."""
    cases: int


def measure(
    questions: Sequence[Question], asked: Sequence[Asked], version: str, scorers: Scorers
) -> dict[str, dict[str, float]]:
    """Values of one voice: by measure, then by question id. A case that a measure does not concern is not in it."""
    values: dict[str, dict[str, float]] = {}
    for question, one in zip(questions, asked, strict=True):
        answer = one.answers[version]
        for name, value in {
            **_outcome(question, answer),
            **_text(question, one, answer, scorers),
            **_cost(answer),
        }.items():
            values.setdefault(name, {})[question.id] = float(value)
    return values


def in_common(one: Measured, other: Measured) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Both sides with the cases that both have: whether a reply cites rightly needs replies that cite."""
    shared = {name: one[name].keys() & other[name].keys() for name in one.keys() & other.keys()}
    mine = {name: {case: one[name][case] for case in sorted(cases)} for name, cases in shared.items() if cases}
    return mine, {name: {case: other[name][case] for case in values} for name, values in mine.items()}


def to_judge(values: Measured, gate: Gate) -> dict[str, Mapping[str, float]]:
    """The measures that the gate shall judge: all that the brand names, and others that have enough cases."""
    floors = {name for name in gate.floors.model_fields_set if getattr(gate.floors, name) is not None}
    named = gate.margins.model_fields_set | floors
    return {
        name: cases
        for name, cases in values.items()
        if name in named
        or name in ALWAYS
        or (len(cases) >= MIN_CASES_A_MEASURE and name not in TIMES and name not in TOLD)
    }


def means(values: Measured) -> dict[str, Mean]:
    """Mean and interval of each measure."""
    found = {}
    for name, cases in values.items():
        each = np.array([cases[case] for case in sorted(cases)], np.float64)
        nothing = np.zeros_like(each)
        low, high = improvement_bound(each, nothing), 0.0 - improvement_bound(-each, nothing)
        found[name] = Mean(float(each.mean()), low, high, len(each))
    return found


def _outcome(question: Question, answer: Answer) -> dict[str, float]:
    """What was done: answered, refused, handed over; with the right page and the right facts."""
    answered = answer.outcome == "answered"
    if question.handoff:
        return {"handoff": answer.outcome == "handed_off"}
    if question.document is None:
        return {"refusal": not answered}
    found: dict[str, float] = {"false_refusal": not answered, "citation_recall": question.document in answer.cited}
    if answer.cited:
        found["citation_precision"] = (question.document in answer.cited) / len(answer.cited)
    if question.answer_contains:
        text = answer.text.lower()
        found["facts"] = answered and all(part.lower() in text for part in question.answer_contains)
    return found


def _text(question: Question, asked: Asked, answer: Answer, scorers: Scorers) -> dict[str, float]:
    """How it was said: the model's own first words, before the check holds back what no passage supports."""
    found: dict[str, float] = {}
    if answer.written.strip():
        found["voice"] = scorers.voice(answer.written)
        found["leak"] = scorers.leaks(answer.written, [question.question, *asked.passages])
    if asked.decision == "answer":
        found["groundedness"] = fmean(one.supported for one in answer.sentences) if answer.sentences else 0.0
    if question.reference:
        alike = scorers.overlap(_MARK.sub("", answer.text), question.reference)
        found |= {"overlap": alike.chrf, "rouge_l": alike.rouge_l, "bleu": alike.bleu}
    return found


def _cost(answer: Answer) -> dict[str, float]:
    found: dict[str, float] = {}
    if answer.prompt_tokens:
        found["prompt_tokens"] = answer.prompt_tokens
    if answer.first_token_ms is not None:
        found["first_token_ms"] = answer.first_token_ms
    if answer.generate_ms and answer.completion_tokens:
        found["tokens_per_s"] = answer.completion_tokens / answer.generate_ms * 1000
    return found
