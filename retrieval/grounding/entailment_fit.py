"""Fit the coefficients of `retrieval.grounding.entailment`.

    python -m retrieval.grounding.entailment_fit ENCODER_FOLDER DATA_FOLDER

The data folder holds `rag/` (see shared/data/README.md). A person's reply to a question, sentence by sentence, belongs
to the passage it was written from (MTRAG's reference answers, doc2dial's agents) and not to the passage of another
document that is most like it. Only sentences whose facts stand in the passage are looked at: others never get here.
Printed: how well a model fitted on one set does on the other, then the coefficients of the model fitted on both.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.grounding.check import check_sentence
from retrieval.grounding.entailment import FEATURES, features
from retrieval.grounding.statements import claim_of, held_of
from retrieval.grounding.support import facts_held, lacks_facts, nearest_first
from retrieval.language.sentences import split_sentences
from retrieval.logistic import Labels, Matrix, area_under_curve, fit
from retrieval.passages import Passage

PAIRS = 250
"""Sentences of each set."""
CONTEXT_CHARS = 300
"""Of a doc2dial document, on both sides of the span that a reply was written from."""
WRONGLY_REFUSED = 0.08
"""Share of the right sentences that may fall below 0.5; the intercept is moved there. People's replies hold sentences
that no passage says, so this is no rate of false alarms."""

Pair = tuple[str, str, str]
"""(sentence, passage, document)."""


def mtrag(data: Path) -> Iterator[Pair]:
    """Reference answers with the one passage they are from."""
    texts = {row["id"]: row["text"] for row in _rows(data / "rag" / "mtrag_corpus.jsonl")}
    for row in _rows(data / "rag" / "mtrag_questions.jsonl"):
        if row["answerability"] == "answerable" and len(row["gold_passages"]) == 1:
            for sentence in split_sentences(row["reference_answer"]):
                yield sentence, texts[row["gold_passages"][0]], row["gold_passages"][0]


def doc2dial(data: Path) -> Iterator[Pair]:
    """Agents' replies with the part of the document they are from."""
    texts = {row["id"]: row["text"] for row in _rows(data / "rag" / "doc2dial_corpus.jsonl")}
    rows = list(_rows(data / "rag" / "doc2dial_questions.jsonl"))
    longest: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if len(row["messages"]) > len(longest.get(row["conversation"], [])):
            longest[row["conversation"]] = row["messages"]
    for row in rows:
        replies = longest[row["conversation"]][len(row["messages"]) :]
        spans = row["gold_spans"]
        if replies and spans and len({span["doc"] for span in spans}) == 1 and spans[0]["doc"] in texts:
            start = max(0, min(span["start"] for span in spans) - CONTEXT_CHARS)
            end = max(span["end"] for span in spans) + CONTEXT_CHARS
            for sentence in split_sentences(replies[0]["content"]):
                yield sentence, texts[spans[0]["doc"]][start:end], spans[0]["doc"]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text("utf-8").splitlines():
        yield json.loads(line)


def rows(pairs: Sequence[Pair], encoder: Encoder) -> tuple[Matrix, Labels]:
    """Features of each sentence with its own passage and with the one most like it in another document."""
    documents = {text: document for _, text, document in pairs}
    passages = list(documents)
    vectors = np.stack([encoder.encode_query(text) for text in passages])
    seen: list[list[float]] = []
    labels: list[bool] = []
    for sentence, own, document in random.Random(0).sample(  # noqa: S311, a seed is the point
        list(pairs), len(pairs)
    ):
        if sum(labels) >= PAIRS:
            break
        if not _is_claim(sentence, encoder):
            continue
        cosines = vectors @ encoder.encode_query(sentence)
        others = [at for at, text in enumerate(passages) if documents[text] != document]
        other = max(others, key=lambda at: float(cosines[at]))
        for text, right in ((own, True), (passages[other], False)):
            claim, held = claim_of(sentence), held_of(Passage("", "", "", text, 1.0))
            if held.units and not lacks_facts(claim, held):
                one = features(claim, held, nearest_first(claim, held), facts_held(claim, held), encoder)
                seen.append([one[name] for name in FEATURES])
                labels.append(right)
    return np.array(seen), np.array(labels)


def _is_claim(sentence: str, encoder: Encoder) -> bool:
    """Whether a reply's sentence states something that can be looked up."""
    found = check_sentence(sentence, [Passage("", "", "", "Nothing.", 1.0)], question="", encoder=encoder)
    return found.kind == "claim" and len(sentence.split()) >= 4


def _report(name: str, logits: Matrix, labels: Labels) -> str:
    line = float(np.quantile(logits[labels], WRONGLY_REFUSED))
    return (
        f"{name}: {labels.sum()} right, {(~labels).sum()} wrong, AUROC {area_under_curve(logits, labels):.3f}; "
        f"{(logits[~labels] >= line).mean():.3f} of the wrong pass where {WRONGLY_REFUSED} of the right do not"
    )


def main(arguments: Sequence[str]) -> int:
    """Fit and print."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m retrieval.grounding.entailment_fit ENCODER_FOLDER DATA_FOLDER\n")
        return 2
    encoder, data = OnnxEncoder.load(Path(arguments[0])), Path(arguments[1])
    sets = {"mtrag": rows(list(mtrag(data)), encoder), "doc2dial": rows(list(doc2dial(data)), encoder)}
    for name, (seen, labels) in sets.items():
        others = [one for other, one in sets.items() if other != name]
        model = fit(np.concatenate([one[0] for one in others]), np.concatenate([one[1] for one in others]))
        sys.stdout.write(_report(f"{name}, fitted on the other", model.logits(seen), labels) + "\n")
    seen, labels = (np.concatenate([one[at] for one in sets.values()]) for at in (0, 1))
    model = fit(seen, labels)
    line = float(np.quantile((seen @ model.weights)[labels], WRONGLY_REFUSED))
    sys.stdout.write(f"INTERCEPT = {-line:.3f}\n")
    weights = {name: round(float(one), 3) for name, one in zip(FEATURES, model.weights, strict=True)}
    sys.stdout.write(json.dumps(weights) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
