"""A follow-up question to one that can be searched alone: earlier questions are put before it, where it needs them.

Rules, not a model: on 377 multi-turn questions the last three user turns searched better than the last alone
(nDCG@10 .837 against .830) and than all of them (.784); a question that stands alone is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval.small_talk import only_small_talk
from retrieval.words import content_words, fold, words

MAX_TURNS = 3
"""User turns in a query, the latest included."""
FEW_WORDS = 2
"""A question with no more content words than this rarely names its topic."""

_CONTINUES = re.compile(
    r"^(?:(?:ok(?:ay)?|yes|no|sure|great|thanks|thank you|hm+|and|but|so|or|also|then)\b[\s,.!;:-]*)*"
    r"(?:and|but|or|also|then|so|otherwise|else|what about|how about|what if|what else|anything else|same|for|with|"
    r"without|even)\b"
)
_POINTS_BACK = frozenset(
    {
        "it",
        "its",
        "it's",
        "they",
        "them",
        "their",
        "theirs",
        "that",
        "that's",
        "those",
        "these",
        "this",
        "he",
        "him",
        "she",
    }
    | {"one", "ones", "there", "else", "instead", "both", "either", "neither", "same", "former", "latter", "such"}
)
_OWN_REFERENT = re.compile(
    r"\bis it (?:possible|true|ok|okay|safe|allowed|necessary)\b|\bit (?:take|takes|cost|costs) to\b|\bthis (?:is|"
    r"was|week|"
    r"weekend|month|year|morning|evening|afternoon)\b|\bis there\b|\bare there\b|\bat the same time\b|\bsuch as\b|"
    r"\bone of (?:your|the)\b|\b(?:know|sure|hope|think|say|says|said|so) that\b|\bthat i (?:bought|ordered|got)\b"
)


def condense(question: str, history: Sequence[str]) -> str:
    """Make a query of the latest question.

    Args:
        question: The visitor's latest message.
        history: The visitor's earlier messages, oldest first.

    Returns:
        The question alone, or with up to two earlier questions before it, one a line.
    """
    turns = [question.strip()]
    for earlier in reversed(history):
        if len(turns) == MAX_TURNS or not depends(turns[0]):
            break
        if earlier.strip() and not only_small_talk(earlier):
            turns.insert(0, earlier.strip())
    return "\n".join(turns)


def depends(question: str) -> bool:
    """Whether a question cannot be understood without what was said before."""
    text = fold(question).strip()
    if _CONTINUES.match(text):
        return True
    if _POINTS_BACK.intersection(words(_OWN_REFERENT.sub(" ", text))):
        return True
    return len(content_words(question)) <= FEW_WORDS
