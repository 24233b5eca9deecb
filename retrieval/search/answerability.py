"""Is the answer in the passages? A logistic model over what the search saw.

The coefficients were fitted by `python -m retrieval.search.answerability_fit` on the user turns of the sample brands'
training conversations (answered against refused), never on their held-out questions; its output is quoted below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from retrieval.language.words import stems
from retrieval.passages import Passage

FEATURES = ("dense", "late", "covered")
WITH_ASKED = (*FEATURES, "asked")
"""Where the brand's conversations have been learnt, see `retrieval.search.asked`."""

INTERCEPT = -5.424
COEFFICIENTS: Mapping[str, float] = {"dense": 9.675, "late": 1.8, "covered": 2.611}
"""444 answered and 60 refused turns: AUROC .894 and .921 on the brand that was left out. The intercept puts 4 %
of the answered turns below 0.5; 55 % of the refused ones, most of them about things a shop could well have, stand
there too."""

INTERCEPT_WITH_ASKED = -4.152
COEFFICIENTS_WITH_ASKED: Mapping[str, float] = {"dense": 7.308, "late": 2.713, "covered": 2.23, "asked": 6.487}
"""The same turns, each with what the others of its brand say of it: AUROC .926 and .933 on the brand that was left out,
57 % of its refused turns below 0.5."""


def features(query: str, passages: Sequence[Passage]) -> dict[str, float]:
    """What the model looks at.

    Args:
        query: As searched.
        passages: What the search returned.

    Returns:
        `dense`, the highest cosine; `late`, the highest late-interaction score; `covered`, the share of the query's
        stems that stand in any of the passages. All 0 without passages.
    """
    if not passages:
        return dict.fromkeys(FEATURES, 0.0)
    wanted = set(stems(query))
    held = {word for one in passages for word in stems(f"{one.title} {one.heading} {one.text}")}
    return {
        "dense": max(one.scores.get("dense", 0.0) for one in passages),
        "late": max(one.scores.get("late", 0.0) for one in passages),
        "covered": len(wanted & held) / len(wanted) if wanted else 0.0,
    }


def answerability(seen: Mapping[str, float]) -> float:
    """Probability, 0 to 1, that the passages hold the answer; 0.5 is the default line between answer and refusal."""
    known = "asked" in seen
    weights = COEFFICIENTS_WITH_ASKED if known else COEFFICIENTS
    logit = INTERCEPT_WITH_ASKED if known else INTERCEPT
    logit += sum(weight * seen[name] for name, weight in weights.items())
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
