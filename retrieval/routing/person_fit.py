"""Fit the model of `retrieval.routing.person` and write it beside the examples.

    python -m retrieval.routing.person_fit ENCODER_FOLDER DATA_FOLDER BRAND_FOLDER...

The model sees `person_examples.yaml` alone. Lines are set on messages that it was not fitted on: each example judged by
all others, first questions of doc2dial (`rag/` of the data folder), which public pages answer, and the turns of
the brands' `conversations.jsonl` that were not handed off. Printed: how many are found, and how many by mistake.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from retrieval.encoder import OnnxEncoder
from retrieval.kernel_ridge import fit
from retrieval.logistic import area_under_curve
from retrieval.routing.intent_features import FeatureSpace
from retrieval.routing.person import MATTERS, MODEL_FILE, NOT, outputs, query_views, read_examples
from retrieval.routing.route import route

FALSE = 0.01
"""Share of the examples `not` that may be handed over: the lowest line of any matter."""
ALLOWED = 0
"""Messages not for a person, from all three sources, that may lie above a matter's line. With the line of FALSE alone,
trouble that pages answer ("my payment failed, now what") was taken for money missing."""


def answered_by_pages(data: Path, brands: Sequence[Path]) -> tuple[str, ...]:
    """Messages that do not belong to a person and that no rule decides."""
    found = dict.fromkeys([*_first_questions(data), *(text for brand in brands for text in _kept_turns(brand))])
    return tuple(text for text in found if route(text).kind == "question")


def _first_questions(data: Path) -> Iterator[str]:
    for line in (data / "rag" / "doc2dial_questions.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if len(row["messages"]) == 1:
            yield row["question"]


def _kept_turns(brand: Path) -> Iterator[str]:
    for line in (brand / "conversations.jsonl").read_text("utf-8").splitlines():
        for asked, reply in pairwise(json.loads(line)["messages"]):
            if asked["role"] == "user" and reply["outcome"] != "handed_off":
                yield asked["content"]


def main(arguments: Sequence[str]) -> int:
    """Fit, print, write."""
    if len(arguments) < 3:
        sys.stderr.write("usage: python -m retrieval.routing.person_fit ENCODER_FOLDER DATA_FOLDER BRAND_FOLDER...\n")
        return 2
    encoder_folder, data, *brands = map(Path, arguments)
    encoder, examples = OnnxEncoder.load(encoder_folder), read_examples()
    # Half precision is what is written, so it is what is fitted.
    halves = np.stack([query_views(text, encoder) for text in examples.texts]).astype(np.float16)
    views = halves.astype(np.float32)
    space = FeatureSpace.fit(examples.texts, views)
    rows = space.rows(examples.texts, views)
    names = np.array(examples.matters)
    belongs = names != NOT
    targets = np.column_stack([belongs, *(names == name for name in MATTERS)]).astype(np.float32)
    targets[:, 0] -= np.float32(0.5)
    fitted = fit(rows, targets)
    others = answered_by_pages(data, brands)
    other_rows = space.rows(others, np.stack([query_views(text, encoder) for text in others]))
    # Examples by all others, then the messages of the other two sources.
    seen = np.concatenate([fitted.left_out, outputs(other_rows, rows, fitted.weights)])
    scores, matters = seen[:, 0].astype(float), seen[:, 1:].argmax(axis=1)
    known = np.arange(len(seen)) < len(rows)
    undecided = np.array([route(text).kind == "question" for text in (*examples.texts, *others)])
    against = undecided & ~np.concatenate([belongs, np.zeros(len(others), bool)])
    lowest = np.sort(scores[against & known])[::-1][int(FALSE * (~belongs).sum())]
    lines = np.array(
        [max(lowest, np.sort(scores[against & (matters == at)])[::-1][ALLOWED]) for at in range(len(MATTERS))],
        np.float32,
    )
    above = scores > lines[matters]
    sys.stdout.write(
        f"{belongs.sum()} examples belong to a person, {(~belongs).sum()} do not; each judged by all others: AUROC "
        f"{area_under_curve(scores[known], belongs):.3f}, {above[known][belongs].mean():.3f} found, "
        f"{(above & against & known).sum()} by mistake; of {len(others)} other messages "
        f"{(above & against & ~known).sum()} by mistake\n"
    )
    for at, name in enumerate(MATTERS):
        mine = names == name
        sys.stdout.write(f"  {name}: line {lines[at]:.3f}, {above[known][mine].mean():.2f} of {mine.sum()} found\n")
    np.savez_compressed(
        MODEL_FILE,
        encoder=np.array(encoder.name),
        examples_sha256=np.array(examples.sha256),
        views=halves,
        weights=fitted.weights,
        lines=lines,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
