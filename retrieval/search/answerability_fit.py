"""Fit the coefficients of `retrieval.search.answerability`, and measure them on public questions.

    python -m retrieval.search.answerability_fit ENCODER_FOLDER DATA_FOLDER BRAND_FOLDER...

A brand folder holds `pages/` and `conversations.jsonl`: what is fitted on. The data folder holds `rag/` with SQuAD 2
and MTRAG (see shared/data/README.md): measured on only. Printed: how well a model fitted on the other brands does on
each brand, how well the model fitted on all brands does on each public set, then its coefficients.

Tried and left out, in folds over articles and conversations: nine more features (gap to the last passage, best window
of tokens, worst met word, coverage by one passage and by rarity, unknown words, BM25 as a share, missing names and
numbers, missing kind of answer, length). Fitted on the brands, all twelve take MTRAG from .804 to .777, SQuAD 2
from .605 to .616 and the brands from .908 and .934 to .898 and .917; with MTRAG among what is fitted on, MTRAG gets
.770 and SQuAD 2 .634. SQuAD 2's unanswerable questions ask for what a paragraph nearly says: that takes a reader, not
a search. A reader was tried too: taught by a language model it takes SQuAD 2 to .688 and leaves MTRAG at .798, too
little for 14 ms or more a question (benchmarks/results/2026-11-25-answerability.md).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.knowledge.store import add
from retrieval.logistic import Labels, Matrix, Model, area_under_curve, fit
from retrieval.search.answerability import FEATURES, WITH_ASKED
from retrieval.search.asked import BOUND, Asked, Turn, read_turns
from retrieval.search.knowledge_base import KnowledgeBase

TOP_K = 4
WRONGLY_REFUSED = 0.04
"""Share of the answered turns that may fall below 0.5; the intercept is moved there."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The questions of one set as the model sees them."""

    name: str
    seen: Matrix
    """[questions, features]; the last column, of brands only, is what each turn gets from all others."""
    answerable: Labels

    @property
    def search(self) -> Seen:
        """Without what the brand was asked."""
        return Seen(self.name, self.seen[:, : len(FEATURES)], self.answerable)


def squad(data: Path) -> Iterator[Turn]:
    """SQuAD 2's questions; half of them are about the article but not answered in it."""
    for row in _rows(data / "rag" / "squad2_questions.jsonl"):
        yield Turn(row["question"], (), row["answerable"])


def mtrag(data: Path) -> Iterator[Turn]:
    """MTRAG's last turns; partly answerable and underspecified ones count as unanswerable."""
    for row in _rows(data / "rag" / "mtrag_questions.jsonl"):
        user = [one["content"] for one in row["messages"] if one["role"] == "user"]
        yield Turn(user[-1], tuple(user[:-1]), row["answerability"] == "answerable")


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text("utf-8").splitlines():
        yield json.loads(line)


def public_set(name: str, asked: Sequence[Turn], data: Path, encoder: Encoder) -> Seen:
    """A public set with its own corpus, indexed as a brand's pages are."""
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch) / "pages"
        pages.mkdir()
        for number, row in enumerate(_rows(data / "rag" / f"{name}_corpus.jsonl")):
            (pages / f"{number:05}.md").write_text(f"# {row['title']}\n\n{row['text']}\n", encoding="utf-8")
        return _searched(name, asked, Path(scratch), pages, encoder)


def brand_set(folder: Path, encoder: Encoder) -> Seen:
    """A brand's turns on its own pages."""
    with tempfile.TemporaryDirectory() as scratch:
        turns = list(read_turns(folder / "conversations.jsonl"))
        seen = _searched(folder.name, turns, Path(scratch), folder / "pages", encoder)
    _, left_out = Asked.learn(turns, encoder)
    bounded = np.clip(left_out, -BOUND, BOUND)
    return Seen(seen.name, np.column_stack([seen.seen, bounded]), seen.answerable)


def _searched(name: str, asked: Sequence[Turn], scratch: Path, pages: Path, encoder: Encoder) -> Seen:
    add(scratch, name, pages, encoder)
    knowledge = KnowledgeBase.open(scratch, name, encoder)
    seen = [knowledge.search(one.question, history=one.history, top_k=TOP_K).features for one in asked]
    rows = np.array([[one[feature] for feature in FEATURES] for one in seen])
    return Seen(name, rows, np.array([one.answered for one in asked]))


def fitted(sets: Sequence[Seen]) -> Model:
    """A model on all rows of some sets, with the intercept where their answered turns pass."""
    seen, answerable = np.concatenate([one.seen for one in sets]), np.concatenate([one.answerable for one in sets])
    model = fit(seen, answerable)
    line = float(np.quantile((seen @ model.weights)[answerable], WRONGLY_REFUSED))
    return Model(-line, model.weights)


def refused_at(logits: Matrix, answerable: Labels, wrongly: float) -> float:
    """Share of the unanswerable questions below the line that refuses this share of the answerable ones."""
    line = float(np.quantile(logits[answerable], wrongly))
    return float((logits[~answerable] < line).mean())


def describe(name: str, logits: Matrix, answerable: Labels) -> str:
    """One line about one set."""
    return (
        f"{name}: {answerable.sum()} answerable, {(~answerable).sum()} not; "
        f"AUROC {area_under_curve(logits, answerable):.3f}, refused {refused_at(logits, answerable, 0.05):.3f} at 5 %, "
        f"{refused_at(logits, answerable, 0.10):.3f} at 10 % wrongly; at 0.5: wrongly refused "
        f"{(logits[answerable] < 0).mean():.3f}, refused {(logits[~answerable] < 0).mean():.3f}"
    )


def _quoted(model: Model) -> Iterator[str]:
    """The model as it stands in the code."""
    names = WITH_ASKED[: len(model.weights)]
    yield f"INTERCEPT = {model.intercept:.3f}"
    yield json.dumps({name: round(float(weight), 3) for name, weight in zip(names, model.weights, strict=True)})


def main(arguments: Sequence[str]) -> int:
    """Fit and print."""
    if len(arguments) < 3:
        sys.stderr.write(
            "usage: python -m retrieval.search.answerability_fit ENCODER_FOLDER DATA_FOLDER BRAND_FOLDER...\n"
        )
        return 2
    encoder, data = OnnxEncoder.load(Path(arguments[0])), Path(arguments[1])
    brands = [brand_set(Path(folder), encoder) for folder in arguments[2:]]
    lines = []
    for kind in (brands, [one.search for one in brands]):
        for one in kind:
            others = [other for other in kind if other is not one]
            if others:
                said = fitted(others).logits(one.seen)
                lines.append(describe(f"{one.name}, fitted on the others", said, one.answerable))
        lines += _quoted(fitted(kind))
    model = fitted([one.search for one in brands])
    public = [
        public_set("squad2", list(squad(data)), data, encoder),
        public_set("mtrag", list(mtrag(data)), data, encoder),
    ]
    lines += [describe(one.name, model.logits(one.seen), one.answerable) for one in public]
    both = np.concatenate([one.seen for one in public]), np.concatenate([one.answerable for one in public])
    lines.append(describe("squad2 and mtrag together", model.logits(both[0]), both[1]))
    alone = area_under_curve(both[0][:, FEATURES.index("dense")], both[1])
    lines.append(f"the top cosine alone on both: AUROC {alone:.3f}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
