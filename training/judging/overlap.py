"""How much a reply has in common with reference replies: ROUGE-L, BLEU and chrF, each 0 to 1.

The gate's `overlap` is chrF. All three tell a right answer in other words from one to another question about
as well (AUC 0.96 to 0.99 on the replies of the sample brands, docs/gate.md), but chrF scatters least among right
answers, because it counts letters, and not a word or a run of four words as a whole: the gate needs the fewest cases.

Sources: Lin, ROUGE, 2004; Papineni et al., BLEU, ACL 2002; Popovic, chrF, WMT 2015. BLEU and chrF are sacrebleu's, with
its defaults for single sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from retrieval.language.words import words


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a reply has in common with the reference that is most like it, each 0 to 1."""

    rouge_l: float
    """F1 of the longest common subsequence of words, folded."""
    bleu: float
    """Of words, case counts."""
    chrf: float
    """F2 of runs of one to six letters, case counts."""

    @property
    def value(self) -> float:
        """The gate's `overlap`."""
        return self.chrf


def overlap(reply: str, references: Sequence[str]) -> Overlap:
    """Compare a reply with one or more references.

    Raises:
        ValueError: There is no reference.
    """
    if not references:
        raise ValueError("a reply without a reference has no overlap; leave the case out")
    bleu, chrf = _metrics()
    return Overlap(
        rouge_l=max(rouge_l(reply, one) for one in references),
        bleu=max(bleu.sentence_score(reply, [one]).score for one in references) / 100,
        chrf=max(chrf.sentence_score(reply, [one]).score for one in references) / 100,
    )


def rouge_l(reply: str, reference: str) -> float:
    """F1 of the longest common subsequence of words."""
    mine, theirs = words(reply), words(reference)
    row = [0] * (len(theirs) + 1)
    for word in mine:
        # Each value is the length for the words so far of both; `left_above` is that of the row before.
        left_above = 0
        for place, other in enumerate(theirs, start=1):
            above = row[place]
            row[place] = left_above + 1 if word == other else max(above, row[place - 1])
            left_above = above
    return 2 * row[-1] / (len(mine) + len(theirs)) if row[-1] else 0.0


@cache
def _metrics() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # Shorter runs alone where a reply is too short for four words.
    return BLEU(effective_order=True), CHRF()
