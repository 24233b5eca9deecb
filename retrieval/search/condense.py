"""A question in its conversation: as turns that weigh less the older they are, and as one text for people and checks.

No model rewrites anything. Each turn is searched with its own vector and words, and the scores are added. On the third
of the public conversations that the constants were chosen on, the fused ranking has on MTRAG, whose turns change the
subject, and on doc2dial, whose turns stay with one page, these nDCG@10: .80 and .65 with the latest turn alone, .75 and
.82 with the last three as one text, .67 and .86 with all of them as one text. Turns that fade gave .84 and .85 in an
earlier form; the fading by `HALF_LIFE` was chosen on all public conversations of both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.language.small_talk import only_small_talk
from retrieval.language.words import content_words, fold, words

MAX_TURNS = 3
"""User turns in a query, the latest included."""
WINDOW = 8
"""Turns that are searched with."""
HALF_LIFE = 4.0
"""Chunks of a document for which an earlier turn counts half, see `decay`."""
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


@dataclass(frozen=True, slots=True)
class Turn:
    """A user message as it is searched."""

    text: str
    weight: float
    """1 for the latest."""


def decay(chunks_per_document: float) -> float:
    """How much of its weight a turn keeps when another one follows, 0 to 1.

    A long document holds a conversation: the next question is asked about the same one. Between short ones it moves on.
    MTRAG (4 chunks a document) wants 0.5, the sample brands (6) 0.7, doc2dial (16) 0.9 and more.
    """
    return float(1 - 0.5 ** (chunks_per_document / HALF_LIFE))


def window(question: str, history: Sequence[str], fading: float) -> tuple[Turn, ...]:
    """The question and what the visitor said before it, the latest first; "yes" and "thank you" hold no topic.

    Args:
        question: The visitor's latest message.
        history: The visitor's earlier messages, oldest first.
        fading: Weight of a turn against the one after it, see `decay`.

    Returns:
        At least one turn: the question, where none holds a topic.
    """
    said = [text.strip() for text in (question, *reversed(history))]
    topical = [text for text in said if content_words(text) and not only_small_talk(text)] or said[:1]
    return tuple(Turn(text, fading**age) for age, text in enumerate(topical[:WINDOW]))


def condense(question: str, history: Sequence[str]) -> str:
    """The question as one text that can be understood alone, by rules.

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
