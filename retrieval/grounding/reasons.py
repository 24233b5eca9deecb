"""Why a sentence is not shown, in words that a person understands."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.language.facts import Fact, FactKind
from retrieval.language.measures import DURATIONS

_NOUNS: dict[FactKind, str] = {
    "money": "the price",
    "percent": "the share",
    "time": "the time",
    "number": "the number",
    "day": "the date",
    "days": "the days",
    "free": "the word",
    "link": "the link",
    "email": "the e-mail address",
    "phone": "the phone number",
    "quote": "the wording",
    "name": "the name",
}
MAX_WORDS = 4
"""Words of a sentence that are named where no passage holds its matter."""

PROMISE = "promises an action"
BROKEN = "begins in the middle of a word"
ROUND = "says the same words again and again"
BARE_ANSWER = "a yes or no alone cannot be looked up"
NOTHING_LOOKED_UP = "states something where no passage was given"
NOTHING_TO_CHECK = "states nothing that can be looked up"
YES_FOR_NO = "says yes where the passage says no"
NO_FOR_YES = "says no where the passage says yes"
OTHER_KIND = "speaks of something else than the passage"


def in_no_passage(fact: Fact) -> str:
    """A fact that nothing holds.

    >>> in_no_passage(Fact("money", "20", "usd", text="$20"))
    'the price $20 is in no passage'
    >>> in_no_passage(Fact("number", "60", "day", text="60"))
    'the number 60 days is in no passage'
    """
    return f"{named(fact)} is in no passage"


def of_something_else(fact: Fact) -> str:
    """A fact that a passage holds for another thing."""
    return f"{named(fact)} belongs to something else in the passage"


def in_another_passage(fact: Fact) -> str:
    """A fact that only another passage holds than the one that the rest of the sentence is from."""
    return f"{named(fact)} is in another passage than the rest"


def free_for_price(price: Fact) -> str:
    """A thing called free that costs something."""
    return f"says free where the passage says {price.text}"


def not_said(missing: Sequence[str]) -> str:
    """A matter that no passage speaks of."""
    if not missing:
        return "no passage says this"
    shown = ", ".join(f"“{word}”" for word in missing[:MAX_WORDS])
    return f"no passage says this; nothing is said of {shown}"


def named(fact: Fact) -> str:
    """A fact with what it is: "the price $20"."""
    written = fact.text if ".m." in fact.text else fact.text.removesuffix(".")
    counted = fact.noun or (f"{fact.unit}s" if fact.unit in DURATIONS and fact.value != "1" else fact.unit)
    amount = f"{written} {counted}".strip() if fact.kind == "number" else written
    return f"{_NOUNS[fact.kind]} {amount}"
