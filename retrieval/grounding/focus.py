"""The sentences of the passages that answer best: what an answer must hold, and what is quoted where a model fails.

A small model given three passages often restates the wrong sentence, truly and beside the point. On 600 answerable
questions of SQuAD2 the best sentence of the passage by the score used here holds the answer in 85 of 100 cases.

An answer that says what the second best sentence says is not enough, though it is sometimes the right one: of 69
unanswerable questions of the sample brands that reach the model, 23 are refused with the best sentence alone and 8 with
either of two, and beside 3 more right facts (92 to 95) come 23 more wrong ones (71 to 94).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from retrieval.encoder import Encoder
from retrieval.grounding.units import Row, units
from retrieval.passages import Passage

RANK_STEP = 0.03
"""What a sentence loses for each place of its passage in the ranking."""
MIN_FIT = 0.8
"""A sentence below is no answer (2 % of the right sentences of SQuAD2 are)."""
MIN_QUOTE = 1.15
"""A sentence below is not quoted: 13 % of the right sentences of SQuAD2 are, and all that were quoted in answer to the
sample brands' unanswerable questions, which were looked at for this."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One sentence, list item or table row of a passage."""

    source: int
    """1-based number of its passage."""
    place: int
    """Its place in the passage."""
    text: str
    """As a person reads it; of a table row, each cell with the head of its column."""
    lines: str
    """As the passage holds it; of a table row, with the table's head."""
    fit: float
    """Cosine of the sentence and mean best cosine of the question's tokens, -2 to 2, less its passage's rank."""


def spots(question: str, passages: Sequence[Passage], encoder: Encoder) -> tuple[Spot, ...]:
    """Every sentence of the passages, best first (blocking, a millisecond for each that the encoder does not know).

    Args:
        question: As searched, so that a follow-up question brings what it is about.
        passages: Best first.
        encoder: Its vectors of short texts are kept.
    """
    asked, tokens = encoder.encode_query(question), encoder.encode_query_tokens(question)
    found = []
    for rank, passage in enumerate(passages):
        for place, (text, lines) in enumerate(map(_texts, units(passage.text))):
            full = f"{passage.heading or passage.title}: {text}"
            meaning = float(asked @ encoder.encode_query(full))
            worded = float((tokens @ encoder.encode_query_tokens(full).T).max(axis=1).mean())
            found.append(Spot(rank + 1, place, text, lines, meaning + worded - RANK_STEP * rank))
    return tuple(sorted(found, key=lambda spot: -spot.fit))


def narrowed(passages: Sequence[Passage], kept: Sequence[Spot]) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
    """The passages that hold some sentences, first with these sentences alone, then whole; in their old order."""
    by_source: dict[int, list[Spot]] = {}
    for spot in sorted(kept, key=lambda spot: (spot.source, spot.place)):
        by_source.setdefault(spot.source, []).append(spot)
    short = [
        replace(passages[source - 1], text="\n".join(spot.lines for spot in held)) for source, held in by_source.items()
    ]
    return tuple(short), tuple(passages[source - 1] for source in by_source)


def _texts(unit: str | Row) -> tuple[str, str]:
    """A unit as a person reads it, and as its passage holds it."""
    if isinstance(unit, str):
        return unit, unit
    read = ", ".join(f"{name}: {cell}" for name, cell in unit.named if cell)
    rule = "|---" * (unit.head.count("|") - 1) + "|"
    return f"{read}.", f"{unit.head}\n{rule}\n{unit.line}"
