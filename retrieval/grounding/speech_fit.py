"""Fit the models of `retrieval.grounding.speech` and write their weights.

    python -m retrieval.grounding.speech_fit ENCODER_FOLDER DATA_FOLDER

The data folder holds `rag/` and `safety/` (see shared/data/README.md). Statements are sentences of public help pages;
style and a part of the instructions are `speech_examples.yaml`; the other instructions are the attacks of BIPIA's
public half. Printed: how well models do on the parts they were not fitted on.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.grounding.speech import WEIGHTS_FILE
from retrieval.language.sentences import split_sentences
from retrieval.logistic import Labels, Matrix, Model, area_under_curve, fit

EXAMPLES_FILE = Path(__file__).with_name("speech_examples.yaml")
STATEMENTS = 200
"""Sentences of each set of pages."""
RIDGE = 20.0
FOLDS = 5
SETS = ("doc2dial_corpus", "mtrag_corpus", "tau2_banking_corpus", "plausible_docs", "handbooks_and_style")


def statements(data: Path) -> list[str]:
    """Sentences of public help pages, the same ones each time."""
    dice = random.Random(0)  # noqa: S311, a seed is the point
    found: list[str] = []
    for name in SETS:
        sentences: list[str] = []
        for line in (data / "rag" / f"{name}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            sentences += _sentences(row.get("text") or row["markdown"])
        found += dice.sample(sentences, min(STATEMENTS, len(sentences)))
    return found


def _sentences(text: str) -> Iterator[str]:
    for sentence in split_sentences(text):
        bare = re.sub(r"^[\s#>*|-]+|[*|]", "", sentence).strip()
        if 3 <= len(bare.split()) <= 40:
            yield bare


def attacks(data: Path) -> list[tuple[str, str]]:
    """(kind, text) of the instructions that were put into documents."""
    lines = (data / "safety" / "indirect_injection.jsonl").read_text("utf-8").splitlines()
    return list(dict.fromkeys((row["attack_kind"], row["attack"]) for row in map(json.loads, lines)))


def across(seen: Matrix, labels: Labels, folds: Sequence[int]) -> Matrix:
    """Logits of each row by a model that was fitted without its fold."""
    where = np.array(folds)
    logits = np.zeros(len(seen))
    for fold in range(FOLDS):
        mine = where == fold
        logits[mine] = fit(seen[~mine], labels[~mine], ridge=RIDGE).logits(seen[mine])
    return logits


def _report(name: str, logits: Matrix, labels: Labels) -> str:
    found = " ".join(
        f"at {line}: {(logits[labels] > line).mean():.3f} found, {(logits[~labels] > line).mean():.4f} by mistake;"
        for line in (0, 1, 2, 3)
    )
    return (
        f"{name}: {labels.sum()} against {(~labels).sum()}, AUROC {area_under_curve(logits, labels):.3f}; logit {found}"
    )


def _vectors(texts: Sequence[str], encoder: Encoder) -> Matrix:
    return np.stack([encoder.encode_query(text) for text in texts]).astype(np.float64)


def _rounded(model: Model) -> dict[str, object]:
    return {"intercept": round(model.intercept, 4), "weights": [round(float(one), 4) for one in model.weights]}


def main(arguments: Sequence[str]) -> int:
    """Fit, print, write."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m retrieval.grounding.speech_fit ENCODER_FOLDER DATA_FOLDER\n")
        return 2
    encoder, data = OnnxEncoder.load(Path(arguments[0])), Path(arguments[1])
    examples = yaml.safe_load(EXAMPLES_FILE.read_text("utf-8"))
    plain = _vectors(statements(data), encoder)
    models = {}
    known = attacks(data)
    kinds = sorted({kind for kind, _ in known})
    for name, texts, groups in (
        ("style", examples["style"], list(range(len(examples["style"])))),
        (
            "instruction",
            [*examples["instruction"], *(text for _, text in known)],
            [*range(len(examples["instruction"])), *(kinds.index(kind) for kind, _ in known)],
        ),
    ):
        seen = np.concatenate([_vectors(texts, encoder), plain])
        labels = np.arange(len(seen)) < len(texts)
        # A kind of attack stays in one fold: what comes will be of a kind that nobody saw.
        folds = [one % FOLDS for one in [*groups, *range(len(plain))]]
        sys.stdout.write(_report(name, across(seen, labels, folds), labels) + "\n")
        models[name] = _rounded(fit(seen, labels, ridge=RIDGE))
    WEIGHTS_FILE.write_text(json.dumps({"encoder": encoder.name, "models": models}) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
