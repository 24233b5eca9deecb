"""Fit the coefficients of `retrieval.answerability`.

    python -m retrieval.answerability_fit ENCODER_FOLDER DATA_FOLDER BRAND_FOLDER...

The data folder holds `rag/` with SQuAD 2 and MTRAG (see shared/data/README.md); a brand folder holds `pages/` and
`conversations.jsonl`. Printed: how well models do on questions that they were not fitted on (folds over articles and
conversations; a brand is left out as a whole), then the coefficients of the model fitted on everything.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.answerability import FEATURES
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.knowledge_base import KnowledgeBase
from retrieval.logistic import Labels, Matrix, Model, area_under_curve, fit
from retrieval.store import add

FOLDS = 5
WRONGLY_REFUSED = 0.04
"""Share of the brands' answered turns that may fall below 0.5; the intercept is moved there."""
BRAND_WEIGHT = 3.0
"""Weight of a brand's turn against a public question's: they are few, and what the default line is for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a set."""

    group: str
    """Article or conversation: all of it is on one side of a fold."""
    question: str
    history: tuple[str, ...]
    answerable: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """The questions of one set as the model sees them."""

    name: str
    seen: Matrix
    """[questions, features]."""
    answerable: Labels
    folds: Matrix
    """Fold of each question; -1 for a brand, which is a fold of its own."""


def squad(data: Path) -> Iterator[Asked]:
    """SQuAD 2's questions; half of them are about the article but not answered in it."""
    for row in _rows(data / "rag" / "squad2_questions.jsonl"):
        yield Asked(row["title"], row["question"], (), row["answerable"])


def mtrag(data: Path) -> Iterator[Asked]:
    """MTRAG's last turns; partly answerable and underspecified ones count as unanswerable."""
    for row in _rows(data / "rag" / "mtrag_questions.jsonl"):
        user = [one["content"] for one in row["messages"] if one["role"] == "user"]
        yield Asked(row["conversation"], user[-1], tuple(user[:-1]), row["answerability"] == "answerable")


def brand_turns(folder: Path) -> Iterator[Asked]:
    """The answered and refused user turns of a brand's conversations."""
    for row in _rows(folder / "conversations.jsonl"):
        messages = row["messages"]
        for at in range(1, len(messages), 2):
            if messages[at]["outcome"] in ("answered", "refused"):
                history = tuple(one["content"] for one in messages[: at - 1] if one["role"] == "user")
                yield Asked(row["id"], messages[at - 1]["content"], history, messages[at]["outcome"] == "answered")


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text("utf-8").splitlines():
        yield json.loads(line)


def look(name: str, asked: Sequence[Asked], knowledge: KnowledgeBase, *, folds: bool) -> Seen:
    """Search for every question."""
    seen = [knowledge.search(one.question, history=one.history).features for one in asked]
    return Seen(
        name,
        np.array([[one[feature] for feature in FEATURES] for one in seen]),
        np.array([one.answerable for one in asked]),
        np.array([_fold(one.group) if folds else -1 for one in asked]),
    )


def _fold(group: str) -> int:
    return hashlib.sha256(group.encode()).digest()[0] % FOLDS


def public_set(name: str, asked: Sequence[Asked], data: Path, encoder: Encoder) -> Seen:
    """A public set with its own corpus, indexed as a brand's pages are."""
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch) / "pages"
        pages.mkdir()
        for number, row in enumerate(_rows(data / "rag" / f"{name}_corpus.jsonl")):
            (pages / f"{number:05}.md").write_text(f"# {row['title']}\n\n{row['text']}\n", encoding="utf-8")
        return _searched(name, asked, Path(scratch), pages, encoder, folds=True)


def brand_set(folder: Path, encoder: Encoder) -> Seen:
    """A brand's turns on its own pages."""
    with tempfile.TemporaryDirectory() as scratch:
        asked = list(brand_turns(folder))
        return _searched(folder.name, asked, Path(scratch), folder / "pages", encoder, folds=False)


def _searched(name: str, asked: Sequence[Asked], scratch: Path, pages: Path, encoder: Encoder, *, folds: bool) -> Seen:
    brand = name.replace("_", "-")
    add(scratch, brand, pages, encoder)
    return look(name, asked, KnowledgeBase.open(scratch, brand, encoder), folds=folds)


def fitted(sets: Sequence[Seen]) -> Model:
    """A model on all rows of some sets, with the intercept where the brands' answered turns pass."""
    seen, answerable = np.concatenate([one.seen for one in sets]), np.concatenate([one.answerable for one in sets])
    weight = np.concatenate([np.full(len(one.seen), BRAND_WEIGHT if one.folds[0] < 0 else 1.0) for one in sets])
    model = fit(seen, answerable, groups=weight)
    brands = [one for one in sets if one.folds[0] < 0] or sets
    scores = np.concatenate([(one.seen @ model.weights)[one.answerable] for one in brands])
    return Model(-float(np.quantile(scores, WRONGLY_REFUSED)), model.weights)


def unseen_logits(sets: Sequence[Seen]) -> dict[str, Matrix]:
    """Logits of each question by a model that saw neither it nor its article, conversation or brand."""
    found = {one.name: np.zeros(len(one.seen)) for one in sets}
    public = [one for one in sets if one.folds[0] >= 0]
    for fold in range(FOLDS):
        model = fitted([*(_part(one, one.folds != fold) for one in public), *(s for s in sets if s.folds[0] < 0)])
        for one in public:
            found[one.name][one.folds == fold] = model.logits(one.seen[one.folds == fold])
    for one in sets:
        if one.folds[0] < 0:
            found[one.name] = fitted([other for other in sets if other is not one]).logits(one.seen)
    return found


def _part(one: Seen, rows: Labels) -> Seen:
    return Seen(one.name, one.seen[rows], one.answerable[rows], one.folds[rows])


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


def main(arguments: Sequence[str]) -> int:
    """Fit and print."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m retrieval.answerability_fit ENCODER_FOLDER DATA_FOLDER BRAND_FOLDER...\n")
        return 2
    encoder, data = OnnxEncoder.load(Path(arguments[0])), Path(arguments[1])
    sets = [
        public_set("squad2", list(squad(data)), data, encoder),
        public_set("mtrag", list(mtrag(data)), data, encoder),
        *(brand_set(Path(folder), encoder) for folder in arguments[2:]),
    ]
    found = unseen_logits(sets)
    lines = [describe(one.name, found[one.name], one.answerable) for one in sets]
    both = [one for one in sets if one.folds[0] >= 0]
    joined = np.concatenate([found[one.name] for one in both]), np.concatenate([one.answerable for one in both])
    lines.append(describe("squad2 and mtrag together", *joined))
    top = np.concatenate([one.seen[:, FEATURES.index("dense")] for one in both])
    lines.append(f"the top cosine alone: AUROC {area_under_curve(top, joined[1]):.3f}")
    model = fitted(sets)
    lines.append(f"INTERCEPT = {model.intercept:.3f}")
    lines.append(
        json.dumps({name: round(float(weight), 3) for name, weight in zip(FEATURES, model.weights, strict=True)})
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
