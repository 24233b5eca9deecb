"""Fit the coefficients of `retrieval.grounding.fence`.

    python -m retrieval.grounding.fence_fit ENCODER_FOLDER DATA_FOLDER

The data folder holds `rag/` and `safety/` (see shared/data/README.md): the public half of injected documents. Printed:
how well models do on kinds of attack and on documents that they were not fitted on, then the coefficients.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.grounding.fence import FEATURES, _is_suspect, features
from retrieval.grounding.speech_fit import EXAMPLES_FILE, RIDGE, attacks, statements
from retrieval.language.sentences import split_sentences
from retrieval.logistic import Labels, Matrix, Model, fit

FOLDS = 5
WRONGLY = 0.002
"""Share of the clean sentences that may be left out; the intercept is moved there."""


@dataclass(frozen=True, slots=True)
class Injected:
    """One document with a line in it."""

    kind: str
    attack: frozenset[str]
    """Sentences of the line."""
    sentences: tuple[str, ...]
    carrier: str


def injected(data: Path) -> Iterator[Injected]:
    """Documents of the public half."""
    for line in (data / "safety" / "indirect_injection.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        attack = frozenset(split_sentences(row["attack"]))
        yield Injected(row["attack_kind"], attack, tuple(split_sentences(row["document"])), row["carrier_id"])


def head(data: Path, encoder: Encoder, kinds: frozenset[str]) -> Callable[[str], float]:
    """A model of instructions that saw no attack of some kinds."""
    own = [*yaml.safe_load(EXAMPLES_FILE.read_text("utf-8"))["instruction"]]
    own += [text for kind, text in attacks(data) if kind not in kinds]
    texts = [*own, *statements(data)]
    seen = np.stack([encoder.encode_query(text) for text in texts]).astype(np.float64)
    model = fit(seen, np.arange(len(texts)) < len(own), ridge=RIDGE)

    def probability(text: str) -> float:
        return 1 / (1 + math.exp(-float(model.weights @ encoder.encode_query(text) + model.intercept)))

    return probability


def rows(
    documents: Sequence[Injected], encoder: Encoder, instruction: Callable[[str], float]
) -> tuple[Matrix, Labels, Labels]:
    """Features of all sentences, which of them are injected, and which can be suspected at all."""
    seen, labels, suspect = [], [], []
    for document in documents:
        for at, sentence in enumerate(document.sentences):
            one = features(at, document.sentences, encoder, instruction=instruction(sentence))
            seen.append([one[name] for name in FEATURES])
            labels.append(sentence in document.attack)
            suspect.append(_is_suspect(sentence))
    return np.array(seen), np.array(labels), np.array(suspect)


def moved(seen: Matrix, labels: Labels, suspect: Labels) -> Model:
    """A fitted model, with the line where few clean sentences are left out."""
    model = fit(seen[suspect], labels[suspect])
    clean = np.sort((seen @ model.weights)[suspect & ~labels])[::-1]
    line = clean[min(len(clean) - 1, int(WRONGLY * (~labels).sum()))]
    return Model(-float(line), model.weights)


def main(arguments: Sequence[str]) -> int:
    """Fit and print."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m retrieval.grounding.fence_fit ENCODER_FOLDER DATA_FOLDER\n")
        return 2
    encoder, data = OnnxEncoder.load(Path(arguments[0])), Path(arguments[1])
    documents = list(injected(data))
    kinds = sorted({one.kind for one in documents})
    found = lines = mistaken = clean = 0
    for fold in range(FOLDS):
        held = frozenset(kind for at, kind in enumerate(kinds) if at % FOLDS == fold)
        probability = head(data, encoder, held)
        train = [one for one in documents if one.kind not in held and _side(one.carrier) != fold]
        test = [one for one in documents if one.kind in held]
        model = moved(*rows(train, encoder, probability))
        seen, labels, suspect = rows(test, encoder, probability)
        flagged = suspect & (model.logits(seen) >= 0)
        found, lines = found + int(flagged[labels].sum()), lines + int(labels.sum())
        mistaken, clean = mistaken + int(flagged[~labels].sum()), clean + int((~labels).sum())
    sys.stdout.write(f"kinds not seen: {found} of {lines} injected sentences found ({found / lines:.3f}), ")
    sys.stdout.write(f"{mistaken} of {clean} clean ones by mistake ({mistaken / clean:.4f})\n")
    model = moved(*rows(documents, encoder, head(data, encoder, frozenset())))
    sys.stdout.write(f"INTERCEPT = {model.intercept:.3f}\n")
    weights = {name: round(float(one), 3) for name, one in zip(FEATURES, model.weights, strict=True)}
    sys.stdout.write(json.dumps(weights) + "\n")
    return 0


def _side(carrier: str) -> int:
    return hashlib.sha256(carrier.encode()).digest()[0] % FOLDS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
