"""Whether a trained encoder or cross-encoder may search: without it and with it, the same is asked as in service.

Two sets: the brand's held-out questions, which must not become worse, and made questions about pages that were kept
out of training, which must become better by more than chance. What is learnt there helps with a page that is added
tomorrow; what is only learnt by heart does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from retrieval.encoder import Encoder
from retrieval.evaluation import metrics
from retrieval.evaluation.question_sets import Asked
from retrieval.evaluation.set_evaluation import MEASURES as ALL_MEASURES
from retrieval.evaluation.set_evaluation import Answered, ask_all
from retrieval.passages import Document
from retrieval.reranker import Reranker
from training.retriever.pairs import KeptOut

MEASURES = ("hit@1", "hit@5", "ndcg@10", "mrr")
GATED = "ndcg@10"
HELD_OUT, KEPT_OUT = "held-out questions", "pages kept out"
DECISIONS = "decided right"
"""Share of the held-out questions that are answered where a page answers them, and refused where none does."""
MILLISECONDS = "milliseconds"
"""Of a search as service makes it: shown, not judged."""

Values = Mapping[str, tuple[float, ...]]
"""Of each measure, a value for each question."""


@dataclass(frozen=True, slots=True)
class Exam:
    """What is asked."""

    documents: tuple[Document, ...]
    held_out: tuple[Asked, ...]
    kept_out: tuple[KeptOut, ...]
    top_k: int
    """Passages that service asks for."""
    min_answerability: float


@dataclass(frozen=True, slots=True)
class Searching:
    """What a search ranks with."""

    encoder: Encoder
    reranker: Reranker | None = None


class Examiner(Protocol):
    """Asks both sets; `examine` is one."""

    def __call__(self, searching: Searching, exam: Exam, /) -> Mapping[str, Values]:
        """The values of each set, by its name."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure on one set, before and after."""

    set: str
    measure: str
    questions: int
    before: float
    after: float
    low: float
    """95 % bootstrap interval of the difference."""
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says."""

    figures: tuple[Figure, ...]
    reasons: tuple[str, ...]
    """Why it is refused; empty where it is accepted."""

    @property
    def accepted(self) -> bool:
        """Whether the trained model may serve."""
        return not self.reasons


def examine(searching: Searching, exam: Exam) -> Mapping[str, Values]:
    """Build the bases, ask, and measure each question."""

    def ask(documents: Sequence[Document], questions: Sequence[Asked]) -> list[Answered]:
        return ask_all(documents, questions, searching.encoder, searching.reranker, top_k=exam.top_k)

    held_out = ask(exam.documents, exam.held_out)
    kept_out = [one for half in exam.kept_out for one in ask(half.documents, half.questions)]
    decided = tuple(
        float((one.answerability >= exam.min_answerability) == one.asked.answerable)
        for one in held_out
        if one.asked.answerable is not None
    )
    took = tuple(one.milliseconds for one in held_out)
    return {HELD_OUT: {**_values(held_out), DECISIONS: decided, MILLISECONDS: took}, KEPT_OUT: _values(kept_out)}


def judge(before: Mapping[str, Values], after: Mapping[str, Values]) -> Verdict:
    """Compare question by question."""
    figures = [
        _figure(name, measure, values, after[name][measure])
        for name, measures in before.items()
        for measure, values in measures.items()
        if values
    ]
    by_name = {(one.set, one.measure): one for one in figures}
    held_out, kept_out = by_name[HELD_OUT, GATED], by_name[KEPT_OUT, GATED]
    decisions = by_name[HELD_OUT, DECISIONS]
    reasons = []
    if held_out.after < held_out.before:
        reasons.append(f"{GATED} on the held-out questions falls from {held_out.before:.4f} to {held_out.after:.4f}")
    if kept_out.low <= 0:
        reasons.append(
            f"{GATED} on pages kept out of training does not rise by more than chance: {kept_out.before:.4f} to "
            f"{kept_out.after:.4f}, interval of the difference {kept_out.low:+.4f} to {kept_out.high:+.4f}"
        )
    if decisions.after < decisions.before:
        reasons.append(
            f"fewer held-out questions are rightly answered or refused: {decisions.before:.4f} to {decisions.after:.4f}"
        )
    return Verdict(tuple(figures), tuple(reasons))


def _values(answered: Sequence[Answered]) -> Values:
    ranked = [(one.ranked, one.asked.gold) for one in answered if one.asked.gold]
    return {name: tuple(ALL_MEASURES[name](*pair) for pair in ranked) for name in MEASURES}


def _figure(name: str, measure: str, before: Sequence[float], after: Sequence[float]) -> Figure:
    low, high = metrics.interval([new - old for old, new in zip(before, after, strict=True)])
    rounded = [round(value, 4) for value in (fmean(before), fmean(after), low, high)]
    return Figure(name, measure, len(before), *rounded)
