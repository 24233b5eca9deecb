"""Our intent classifier beside a plain logistic regression on the same sentence vectors.

    python -m benchmarks.intents [--data ../shared/data/intents] [--out benchmarks/results/FILE.md]

Learnt on one part of the public halves and measured on the other: of banking77, the fifth of each intent with the
smallest digests of their texts; of clinc150, its own validation part. The logistic regression gets the threshold, set
on the measured part itself, at which it rejects as many messages out of scope as ours does; ours is set in training.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import orjson
from sklearn.linear_model import LogisticRegression

from benchmarks.goals import at_least, goal_table
from configs.home import Home
from retrieval.encoder import OnnxEncoder
from retrieval.routing.intent_evaluation import IntentReport, measure
from retrieval.routing.intent_examples import Example, read_examples
from retrieval.routing.intent_training import train

SETS = ("banking77", "clinc150")
PEER_C = 10.0
GOALS = {
    "banking77": (("accuracy", 0.94),),
    "clinc150": (("in_scope_accuracy", 0.95), ("out_of_scope_recall", 0.80)),
}
SINGLES = 200
"""Messages classified one by one for the time of one."""


@dataclass(frozen=True)
class Line:
    """One classifier on one set."""

    name: str
    report: IntentReport
    training_s: float
    message_ms: float


def parts(path: Path) -> tuple[list[Example], list[Example]]:
    """What is learnt from, and what is measured on."""
    examples = read_examples(path)
    rows = [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
    if any("val" in row["split"] for row in rows):
        held = {at for at, row in enumerate(rows) if "val" in row["split"]}
    else:
        held = _fifth(examples)
    learnt = [one for at, one in enumerate(examples) if at not in held]
    return learnt, [examples[at] for at in sorted(held)]


def _fifth(examples: Sequence[Example]) -> set[int]:
    by_intent: defaultdict[str | None, list[int]] = defaultdict(list)
    for at, one in enumerate(examples):
        by_intent[one.intent].append(at)
    return {
        at
        for places in by_intent.values()
        for at in sorted(places, key=lambda at: hashlib.sha256(examples[at].text.encode()).digest())[: len(places) // 5]
    }


def ours(learnt: Sequence[Example], measured: Sequence[Example], encoder: OnnxEncoder) -> Line:
    """The classifier as it is shipped."""
    since = time.perf_counter()
    classifier = train(learnt, encoder)
    trained = time.perf_counter() - since
    seen = classifier.classify([one.text for one in measured])
    since = time.perf_counter()
    for one in measured[:SINGLES]:
        classifier.read(one.text)
    each = (time.perf_counter() - since) / min(SINGLES, len(measured))
    return Line("brandvoice", measure(measured, seen.intents, seen.out_of_scope), trained, each * 1000)


def peer(learnt: Sequence[Example], measured: Sequence[Example], encoder: OnnxEncoder, recall: float | None) -> Line:
    """Logistic regression on sentence vectors; a message is out of scope by its highest probability."""
    since = time.perf_counter()
    inside = [one for one in learnt if one.intent is not None]
    model = LogisticRegression(C=PEER_C, max_iter=300)
    model.fit(encoder.encode_documents([one.text for one in inside]), [one.intent for one in inside])
    trained = time.perf_counter() - since
    chances = model.predict_proba(encoder.encode_documents([one.text for one in measured]))
    scores = 1 - chances.max(axis=1)
    outside = np.array([one.intent is None for one in measured])
    line = np.quantile(scores[outside], 1 - recall, method="lower") if recall is not None else np.inf
    found = [None if s >= line else str(model.classes_[c]) for s, c in zip(scores, chances.argmax(axis=1), strict=True)]
    since = time.perf_counter()
    for one in measured[:SINGLES]:
        model.predict_proba(encoder.encode_documents([one.text]))
    each = (time.perf_counter() - since) / min(SINGLES, len(measured))
    return Line("logistic regression", measure(measured, found, scores), trained, each * 1000)


def table(name: str, learnt: int, measured: int, lines: Sequence[Line]) -> str:
    """Markdown."""
    head = (
        f"## {name}: {learnt} learnt, {measured} measured\n\n"
        "| | accuracy | in scope | out-of-scope recall | AUROC | macro F1 | training s | ms a message |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        "| "
        + " | ".join(
            [
                one.name,
                *(
                    _figure(value)
                    for value in (
                        one.report.accuracy,
                        one.report.in_scope_accuracy,
                        one.report.out_of_scope_recall,
                        one.report.out_of_scope_auroc,
                        one.report.macro_f1,
                    )
                ),
                f"{one.training_s:.0f}",
                f"{one.message_ms:.1f}",
            ]
        )
        + " |\n"
        for one in lines
    )


def goals(name: str, report: IntentReport) -> str:
    """Markdown: ours beside the goals."""
    held = [at_least(figure.replace("_", " "), goal, getattr(report, figure)) for figure, goal in GOALS[name]]
    return "\n".join(["", *goal_table(held)]) + "\n"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intents", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/intents"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    encoder = OnnxEncoder.load(Home.from_environment(os.environ).models / "all-minilm-l6-v2")
    text = (
        f"# Intents, {date.today().isoformat()}\n\n    python -m benchmarks.intents\n\n"
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; "
        f"encoder {encoder.name}, float32.\n"
    )
    for name in SETS:
        learnt, measured = parts(options.data / f"{name}.jsonl")
        print(f"{name}: {len(learnt)} learnt, {len(measured)} measured", file=sys.stderr)
        own = ours(learnt, measured, encoder)
        lines = [own, peer(learnt, measured, encoder, own.report.out_of_scope_recall)]
        text += "\n" + table(name, len(learnt), len(measured), lines)
        text += goals(name, own.report)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
