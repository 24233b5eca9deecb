"""How well intents are told apart, and messages about nothing known from the rest.

Every figure holds at the one threshold that the classifier rejects by:

accuracy             share of all messages put right; out of scope is a class of its own
in_scope_accuracy    share of the messages in scope that got their intent and were not rejected
out_of_scope_recall  share of the messages out of scope that were rejected
out_of_scope_auroc   how often a message out of scope scores above one in scope; needs no threshold
macro_f1             mean F1 of the classes that the file holds, out of scope among them

A figure is None where the file holds nothing to compute it from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.routing.intent_examples import Example

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class IntentReport:
    """Figures over one file, 0 to 1."""

    accuracy: float
    in_scope_accuracy: float | None
    out_of_scope_recall: float | None
    out_of_scope_auroc: float | None
    macro_f1: float


def measure(examples: Sequence[Example], intents: Sequence[str | None], out_of_scope: Floats) -> IntentReport:
    """Compare what was found with what is right.

    Args:
        examples: Messages with their intents, at least one.
        intents: What was found for each; None where it was rejected.
        out_of_scope: Score of each, [messages]; higher is farther from every intent.
    """
    wanted = [one.intent for one in examples]
    right = np.array([found == true for found, true in zip(intents, wanted, strict=True)])
    outside = np.array([true is None for true in wanted])
    return IntentReport(
        accuracy=float(right.mean()),
        in_scope_accuracy=float(right[~outside].mean()) if not outside.all() else None,
        out_of_scope_recall=float(right[outside].mean()) if outside.any() else None,
        out_of_scope_auroc=area_under_curve(out_of_scope, outside),
        macro_f1=float(np.mean([_f1(intents, wanted, one) for one in dict.fromkeys(wanted)])),
    )


def area_under_curve(scores: Floats, positive: NDArray[np.bool_]) -> float | None:
    """How often a positive scores above a negative, a tie counting half; None where there is only one kind."""
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(above) or not len(below):
        return None
    wins = np.searchsorted(below, above, side="left") + np.searchsorted(below, above, side="right")
    return float(wins.sum() / 2 / len(above) / len(below))


def _f1(found: Sequence[str | None], wanted: Sequence[str | None], intent: str | None) -> float:
    both = sum(one == intent and other == intent for one, other in zip(found, wanted, strict=True))
    named = sum(one == intent for one in found) + sum(one == intent for one in wanted)
    return 2 * both / named
