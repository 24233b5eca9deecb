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

INTERCEPT = -6.592
COEFFICIENTS: Mapping[str, float] = {"dense": 9.527, "late": 4.074, "covered": 2.197}
"""444 answered and 60 refused turns: AUROC .909 and .933 on the brand that was left out. The intercept puts 4 %
of the answered turns below 0.5; 62 % of the refused ones, most of them about things a shop could well have, stand
there too."""


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
    logit = INTERCEPT + sum(weight * seen[name] for name, weight in COEFFICIENTS.items())
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
