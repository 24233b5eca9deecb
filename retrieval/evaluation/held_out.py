"""How good search and refusal are on held-out questions.

    python -m retrieval.evaluation.held_out ENCODER_FOLDER BRAND_FOLDER...

A brand folder holds `pages/`, `questions.jsonl` and, where there are any, `conversations.jsonl`, which search learns
from (`retrieval.search.asked`); one JSON line is printed for each. Questions that belong to a
person (`handoff`) are left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.knowledge.store import add
from retrieval.passages import SearchResult
from retrieval.search.asked import open_asked
from retrieval.search.knowledge_base import KnowledgeBase

TOP_K = 5


class Question(Protocol):
    """A question with the page that answers it; `training.conversations.Question` is one."""

    @property
    def id(self) -> str:
        """Name of the question."""
        ...

    @property
    def question(self) -> str:
        """What is asked."""
        ...

    @property
    def document(self) -> str | None:
        """The page that holds the answer; None where no page does."""
        ...


class Searcher(Protocol):
    """What is evaluated; `KnowledgeBase` is one."""

    def search(self, question: str, *, history: Sequence[str] = (), top_k: int = 4) -> SearchResult:
        """Passages for a question, best first."""
        ...


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Counts and shares over one set of questions; shares of nothing are 0."""

    answerable: int
    unanswerable: int
    hit_at_1: float
    hit_at_4: float
    hit_at_5: float
    """Share of the answerable questions with their page among the first five passages."""
    mrr: float
    """Mean of 1/rank of the page's first passage, 0 below rank five."""
    refused: float
    """Share of the unanswerable questions below the line: right."""
    wrongly_refused: float
    """Share of the answerable questions below the line: wrong."""
    missed: tuple[str, ...]
    """Answerable questions whose page was not found."""
    answered_anyway: tuple[str, ...]
    """Unanswerable questions above the line."""
    refused_by_mistake: tuple[str, ...]


def evaluate_retrieval(
    knowledge: Searcher, questions: Iterable[Question], *, min_answerability: float = 0.5, top_k: int = 4
) -> RetrievalReport:
    """Ask every question.

    Args:
        knowledge: What is searched.
        questions: With the page that answers each, or None.
        min_answerability: Below this a question is refused.
        top_k: Passages that service asks for; the decision to refuse is made on these.
    """
    ranks: dict[str, int | None] = {}
    unanswerable: list[str] = []
    below: set[str] = set()
    for one in questions:
        if knowledge.search(one.question, top_k=top_k).answerability < min_answerability:
            below.add(one.id)
        if one.document is None:
            unanswerable.append(one.id)
        else:
            found = [passage.document for passage in knowledge.search(one.question, top_k=TOP_K).passages]
            ranks[one.id] = found.index(one.document) + 1 if one.document in found else None
    found_at = [rank for rank in ranks.values() if rank is not None]
    return RetrievalReport(
        answerable=len(ranks),
        unanswerable=len(unanswerable),
        hit_at_1=_share(sum(rank <= 1 for rank in found_at), len(ranks)),
        hit_at_4=_share(sum(rank <= 4 for rank in found_at), len(ranks)),
        hit_at_5=_share(len(found_at), len(ranks)),
        mrr=_share(sum(1 / rank for rank in found_at), len(ranks)),
        refused=_share(len(below.intersection(unanswerable)), len(unanswerable)),
        wrongly_refused=_share(len(below & ranks.keys()), len(ranks)),
        missed=tuple(name for name, rank in ranks.items() if rank is None),
        answered_anyway=tuple(name for name in unanswerable if name not in below),
        refused_by_mistake=tuple(sorted(below & ranks.keys())),
    )


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    question: str
    document: str | None


def evaluate_folder(folder: Path, encoder: Encoder) -> RetrievalReport:
    """Build a brand's knowledge beside the one that serves, and ask its held-out questions."""
    lines = (folder / "questions.jsonl").read_text("utf-8").splitlines()
    # What belongs to a person is never searched for.
    asked = [row for row in map(json.loads, lines) if not row.get("handoff", False)]
    rows = [_Row(row["id"], row["question"], row["document"]) for row in asked]
    with tempfile.TemporaryDirectory() as scratch:
        add(Path(scratch), folder.name, folder / "pages", encoder)
        conversations = folder / "conversations.jsonl"
        learnt = open_asked(conversations if conversations.is_file() else None, encoder)
        return evaluate_retrieval(KnowledgeBase.open(Path(scratch), folder.name, encoder, asked=learnt), rows)


def main(arguments: Sequence[str]) -> int:
    """Evaluate and print."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m retrieval.evaluation.held_out ENCODER_FOLDER BRAND_FOLDER...\n")
        return 2
    encoder = OnnxEncoder.load(Path(arguments[0]))
    for folder in map(Path, arguments[1:]):
        report = asdict(evaluate_folder(folder, encoder))
        sys.stdout.write(json.dumps({"brand": folder.name} | report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
