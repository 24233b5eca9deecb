"""Is the answer in the passages? A logistic model over what the search saw.

The coefficients were fitted by `python -m retrieval.answerability_fit` on public questions and on the user turns of the
sample brands' training conversations, never on their held-out questions; its output is quoted below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors
from retrieval.facts import facts
from retrieval.names import names
from retrieval.words import stems, words

JUDGED = 4
"""Passages that are looked at, whatever number is wanted."""
WINDOW = 32
"""Tokens of a passage that are compared at once: about a sentence and a half."""
FEATURES = (
    "dense",
    "gap",
    "late",
    "window",
    "weakest",
    "covered",
    "covered_by_one",
    "unknown",
    "lexical",
    "names_missing",
    "kind_missing",
    "length",
)
INTERCEPT = -6.592
COEFFICIENTS: Mapping[str, float] = dict.fromkeys(FEATURES, 0.0) | {"dense": 9.527, "late": 4.074, "covered": 2.197}

_KINDS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (
        re.compile(r"\bhow (?:much|expensive)\b|\b(?:price|cost|fee)\b"),
        frozenset({"money", "percent", "free", "number"}),
    ),
    (
        re.compile(r"\bhow (?:many|long|often|old|far|fast|big|large|tall|high|soon|late)\b"),
        frozenset({"number", "percent"}),
    ),
    (re.compile(r"\b(?:when|what (?:year|date|day|month|time)|which (?:year|date|day|month))\b"), frozenset({"when"})),
    (re.compile(r"\bwho(?:se|m)?\b"), frozenset({"name"})),
    (re.compile(r"\bwhere\b"), frozenset({"name"})),
)
_WHEN = re.compile(
    r"\b(?:1\d{3}|20\d{2})\b|\b\d{1,2}(?::\d{2}| ?[ap]\.?m)|\b(?:century|decade|"
    r"monday|tuesday|wednesday|thursday|friday|saturday|"
    r"sunday|january|february|march|april|june|july|august|september|october|november|december|days?|weeks?|months?|"
    r"hours?|minutes?|years?|before|after|until|once|during)\b"
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a search saw, best passage first, `JUDGED` passages at most."""

    query: str
    """As searched."""
    vector: Vectors
    """Of the query, float32 [dim]."""
    words: Vectors
    """Of the query's content tokens, float32 [tokens, dim]."""
    texts: Sequence[str]
    tokens: Sequence[NDArray[np.floating]]
    """Of each passage, [tokens, dim]."""
    dense: Sequence[float]
    late: Sequence[float]
    lexical: float
    """The highest BM25 score."""
    rarity: Callable[[str], float]
    """Weight of a stem in this base (its BM25 idf); that of the rarest where the base does not know it."""
    knows: Callable[[str], bool]


def features(look: Look) -> dict[str, float]:
    """What the model looks at, about 0 to 1 each; all 0 without passages.

    Returns:
        `dense`, the highest cosine, and `gap`, its distance to the last one; `late`, the highest late-interaction
        score; `window`, the same inside one stretch of `WINDOW` tokens, and `weakest`, how well the worst met word of
        the query is met there; `covered`, the share of the query's stems, by rarity, in all passages, and
        `covered_by_one`, in one; `unknown`, the share that the base does not know at all; `lexical`, BM25 as a share of
        what all stems together could give; `names_missing`, the share of the query's names and numbers that no passage
        holds; `kind_missing`, 1 where no passage holds a thing of the kind that is asked for; `length`, 1 - 1/stems.
    """
    if not look.texts:
        return dict.fromkeys(FEATURES, 0.0)
    wanted = {one: look.rarity(one) for one in dict.fromkeys(stems(look.query))}
    whole = sum(wanted.values()) or 1.0
    held = [set(stems(text)) for text in look.texts]
    together = set().union(*held)
    window, weakest = _window(look)
    return {
        "dense": max(look.dense),
        "gap": max(look.dense) - min(look.dense),
        "late": max(look.late),
        "window": window,
        "weakest": weakest,
        "covered": sum(weight for one, weight in wanted.items() if one in together) / whole,
        "covered_by_one": max(sum(weight for one, weight in wanted.items() if one in own) for own in held) / whole,
        "unknown": sum(not look.knows(one) for one in wanted) / max(1, len(wanted)),
        "lexical": min(1.0, look.lexical / whole),
        "names_missing": _names_missing(look),
        "kind_missing": float(_kind_missing(look)),
        "length": 1 - 1 / max(1, len(wanted)),
    }


def answerability(seen: Mapping[str, float]) -> float:
    """Probability, 0 to 1, that the passages hold the answer; 0.5 is the default line between answer and refusal."""
    logit = INTERCEPT + sum(weight * seen[name] for name, weight in COEFFICIENTS.items())
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


def _window(look: Look) -> tuple[float, float]:
    """The best mean over the query's words of their best cosine inside one window, and the lowest of these cosines."""
    best = (0.0, 0.0)
    for tokens in look.tokens:
        cosines = look.words @ np.asarray(tokens, np.float32).T
        for start in range(0, max(1, cosines.shape[1] - WINDOW // 2), WINDOW // 2):
            met = cosines[:, start : start + WINDOW].max(axis=1)
            best = max(best, (float(met.mean()), float(met.min())))
    return best


def _names_missing(look: Look) -> float:
    """Share of the names and numbers of a question that no passage holds."""
    asked = [word for name in names(look.query) for word in words(name.value)]
    asked += re.findall(r"\d+", look.query)
    if not asked:
        return 0.0
    held = {word for text in look.texts for word in words(text)}
    return sum(one not in held and one.removesuffix("s") not in held for one in asked) / len(asked)


def _kind_missing(look: Look) -> bool:
    """Whether a question asks for a number, a time or a name, and the best passage holds none but its own."""
    low = look.query.lower()
    for pattern, kinds in _KINDS:
        if pattern.search(low):
            return not _holds_kind(look.texts[0], kinds, set(words(look.query)))
    return False


def _holds_kind(text: str, kinds: frozenset[str], asked: set[str]) -> bool:
    if "when" in kinds:
        return bool(_WHEN.search(text.lower()))
    if "name" in kinds:
        return any(not set(words(one.value)) <= asked for one in names(text))
    return any(one.kind in kinds for one in facts(text))
