"""Fit the coefficients of `retrieval.answerability`.

    python -m retrieval.answerability_fit ENCODER_FOLDER BRAND_FOLDER...

A brand folder holds `pages/` and `conversations.jsonl`. Printed: how well a model fitted on the other brands does on
each brand, then the coefficients of the model fitted on all. Numpy alone: three features need no library.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.answerability import FEATURES
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.knowledge_base import KnowledgeBase
from retrieval.store import add

Matrix = NDArray[np.float64]
TOP_K = 4
RIDGE = 1.0
"""Strength of the penalty on standardised coefficients."""
WRONGLY_REFUSED = 0.04
"""Share of the answered turns that may fall below 0.5; the intercept is moved there."""


@dataclass(frozen=True, slots=True)
class Turns:
    """One brand's user turns as the model sees them."""

    brand: str
    seen: Matrix
    """[turns, features]."""
    answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model on raw features."""

    intercept: float
    weights: Matrix

    def logits(self, seen: Matrix) -> Matrix:
        """Logits of turns, [turns]; above 0 the question is answered."""
        found: Matrix = seen @ self.weights + self.intercept
        return found


def read_turns(folder: Path, encoder: Encoder) -> Turns:
    """Search for every answered and refused user turn of a brand's conversations."""
    with tempfile.TemporaryDirectory() as scratch:
        add(Path(scratch), folder.name, folder / "pages", encoder)
        knowledge = KnowledgeBase.open(Path(scratch), folder.name, encoder)
        seen, answered = [], []
        for question, history, outcome in _user_turns(folder / "conversations.jsonl"):
            if outcome in ("answered", "refused"):
                found = knowledge.search(question, history=history, top_k=TOP_K)
                seen.append([found.features[name] for name in FEATURES])
                answered.append(outcome == "answered")
    return Turns(folder.name, np.array(seen), np.array(answered))


def _user_turns(file: Path) -> Iterator[tuple[str, list[str], str]]:
    for line in file.read_text("utf-8").splitlines():
        messages = json.loads(line)["messages"]
        for at in range(1, len(messages), 2):
            history = [one["content"] for one in messages[: at - 1] if one["role"] == "user"]
            yield messages[at - 1]["content"], history, messages[at]["outcome"]


def fit(turns: Sequence[Turns]) -> Model:
    """Fit by Newton's method; both outcomes weigh the same, then the intercept is moved to the wanted error."""
    seen = np.concatenate([one.seen for one in turns])
    answered = np.concatenate([one.answered for one in turns])
    mean, spread = seen.mean(axis=0), seen.std(axis=0)
    rows = np.column_stack([np.ones(len(seen)), (seen - mean) / spread])
    weight = np.where(answered, 0.5 / answered.mean(), 0.5 / (1 - answered.mean()))
    penalty = np.diag([0.0, *[RIDGE] * seen.shape[1]])
    beta = np.zeros(rows.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-rows @ beta))
        gradient = rows.T @ (weight * (probability - answered)) + penalty @ beta
        curvature = (rows * (weight * probability * (1 - probability))[:, None]).T @ rows + penalty
        beta = beta - np.linalg.solve(curvature, gradient)
    weights = beta[1:] / spread
    line = float(np.quantile((seen @ weights)[answered], WRONGLY_REFUSED))
    return Model(-line, weights)


def area_under_curve(scores: Matrix, answered: NDArray[np.bool_]) -> float:
    """How often an answered turn scores above a refused one."""
    above = scores[answered][:, None] - scores[~answered]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def _describe(name: str, model: Model, turns: Turns) -> str:
    logits = model.logits(turns.seen)
    return (
        f"{name}: AUROC {area_under_curve(logits, turns.answered):.3f}, "
        f"wrongly refused {(logits[turns.answered] < 0).mean():.3f} of {turns.answered.sum()}, "
        f"refused {(logits[~turns.answered] < 0).mean():.3f} of {(~turns.answered).sum()}"
    )


def main(arguments: Sequence[str]) -> int:
    """Fit and print."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m retrieval.answerability_fit ENCODER_FOLDER BRAND_FOLDER...\n")
        return 2
    encoder = OnnxEncoder.load(Path(arguments[0]))
    turns = [read_turns(Path(folder), encoder) for folder in arguments[1:]]
    lines = []
    for one in turns:
        others = [other for other in turns if other is not one]
        if others:
            lines.append(_describe(f"{one.brand}, fitted on the others", fit(others), one))
    model = fit(turns)
    lines += [_describe(f"{one.brand}, fitted on all", model, one) for one in turns]
    lines.append(f"INTERCEPT = {model.intercept:.3f}")
    lines.append(
        json.dumps({name: round(float(weight), 3) for name, weight in zip(FEATURES, model.weights, strict=True)})
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
