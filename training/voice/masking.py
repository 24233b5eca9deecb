"""Hide what a text is about, so that what is left is how it speaks: nothing but the standard library.

Numbers, brand names and the content words of the passages are masked, so that what is left is function words,
forms of address, contractions, punctuation and the phrases of the house.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

MASK = "_"
EMOJI = "[\U0001f300-\U0001faff\u2600-\u27bf]"
TOKEN = re.compile(rf"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d[\d.,:]*|[!?…]+|{EMOJI}")
CONTRACTION = re.compile(r"[a-z]+['\u2019](?:s|re|ve|ll|d|m|t)\b", re.IGNORECASE)
CLOSED_CLASS = (
    "a about after again all am an and any are as at be because been before being but by can cannot could did do "
    "does don't down during each few for from further had has have having he her here hers him his how i if in into "
    "is it its just kindly let may me might more most must my no nor not of off on once only or other our ours out "
    "over own please same shall she should so some such than that the their them then there these they this those "
    "through to too under until up us very was we were what when where which while who whom why will with would yes "
    "you your yours "
)
FUNCTION_WORDS = frozenset(CLOSED_CLASS.split())
"""Closed-class words: never masked, because they carry style and no subject."""


def mask(text: str, *, brand_terms: Iterable[str] = (), passages: Iterable[str] = ()) -> str:
    """Hide what a reply is about.

    Args:
        text: A reply.
        brand_terms: Names of brands and products; each of their words is hidden.
        passages: Texts that the reply rests on; each of their words is hidden, but for function words.

    Returns:
        The text in lower case, what is hidden replaced by `_`, runs of it by one.
    """
    return " ".join(hide(words(text), hidden_words(brand_terms, passages)))


def hidden_words(brand_terms: Iterable[str], passages: Iterable[str]) -> frozenset[str]:
    """The words that say what texts are about: all of the brand terms, and those of the passages that carry content."""
    named = {word for term in brand_terms for word in words(term)}
    return frozenset(named | {word for passage in passages for word in words(passage) if word not in FUNCTION_WORDS})


def hide(tokens: Iterable[str], hidden: Collection[str]) -> list[str]:
    """Tokens with `_` in the place of numbers and hidden words, runs of it as one."""
    kept: list[str] = []
    for token in tokens:
        shown = MASK if token[0].isdigit() or token in hidden or token.removesuffix("'s") in hidden else token
        if shown != MASK or not kept or kept[-1] != MASK:
            kept.append(shown)
    return kept


def words(text: str) -> list[str]:
    """Words, numbers and marks of tone, in lower case."""
    return [token.lower().replace("\u2019", "'") for token in TOKEN.findall(text)]
