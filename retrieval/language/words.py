"""Words as search and checks compare them: lower case, without accents, stemmed (Snowball English)."""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache

import Stemmer

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_STEMMER = Stemmer.Stemmer("english")
_STEMMER_LOCK = threading.Lock()
"""A Stemmer keeps a cache of its own and is not made for several threads."""


def word_list(text: str) -> list[str]:
    """Words of a table written as running text."""
    return text.split()


STOPWORDS = frozenset(
    word_list("""
    a about above after again all also am an and any are aren't as at be because been before being below between both
    but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each few for from further
    get gets getting got had hadn't has hasn't have haven't having he her here here's hers him his how how's i i'd i'll
    i'm i've if in into is isn't it it'd it'll it's its itself just kindly let let's like may me might more most must my
    no nor not of off on once only or other our ours out over own please same shall she should shouldn't so some such
    than that that's the their theirs them then there there's these they they'd they'll they're they've this those
    through to too u under until up upon us very was wasn't we we'd we'll we're we've were weren't what what's when
    when's where where's which while who who's whom whose why will with won't would wouldn't yes you you'd you'll you're
    you've your yours
    arent cant couldnt didnt doesnt dont hadnt hasnt havent isnt shouldnt thats wasnt werent whats wont wouldnt im ive
    """)
)
"""Words that carry no topic. Own list: question words, pronouns, auxiliaries, prepositions."""


def fold(text: str) -> str:
    """Lower case, without accents, with straight apostrophes."""
    if text.isascii():  # most text is, and the way below takes ten times as long
        return text.lower()
    text = unicodedata.normalize("NFKD", text.replace("\u2019", "'").replace("\u2018", "'"))
    return "".join(letter for letter in text if not unicodedata.combining(letter)).casefold()


def words(text: str) -> list[str]:
    """All words and numbers in order, folded, not stemmed."""
    return _WORD.findall(fold(text))


def content_words(text: str) -> list[str]:
    """The words that carry the topic, in order, folded, not stemmed."""
    return [word for word in words(text) if word not in STOPWORDS]


def stems(text: str) -> list[str]:
    """The stems of the content words, in order, repeats included."""
    return [stem(word) for word in content_words(text)]


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem of one folded word."""
    with _STEMMER_LOCK:
        stemmed: str = _STEMMER.stemWord(word.removesuffix("'s"))
    return stemmed


def meaning(stemmed: str) -> str:
    """One stem for words that mean the same in a shop: `swap` and `exchange`, `postage` and `delivery`."""
    return _MEANINGS.get(stemmed, stemmed)


def other_words(word: str) -> tuple[str, ...]:
    """Words that mean the same in a shop as a folded one, in a fixed order, none of its own stem; often none at all."""
    own = stem(word)
    return tuple(form for form in _FORMS.get(meaning(own), ()) if stem(form) != own)


_ALIKE = {
    meaning: [meaning, *forms.split()]
    for meaning, forms in {
        "return": "returns returned returning giveback",
        "item": "piece pieces article articles product products loot goodies goods thing things stuff gear item items",
        "deliver": "delivery ship shipping shipped ships shipment dispatch dispatched postage",
        "cost": "price prices priced charge charged charges pay paid pays payment fee fees",
        "parcel": "package packages parcels box boxes",
        "shop": "store stores boutique boutiques shops",
        "customer": "client clients customers buyer player",
        "begin": "start starts begins starting",
        "last": "valid lasts",
        "fault": "faulty defect defects defective broken faults",
        "repair": "fix fixed fixes mend repaired repairs",
        "buy": "purchase purchased purchases bought buying",
        "phone": "telephone call",
        "exchange": "swap swaps swapped exchanged",
        "refund": "refunded refunds reimburse reimbursed reimbursement",
        "cancel": "cancelled cancellation cancelling",
        "email": "mail e-mail emails",
        "require": "need needs needed required requires must",
        "unopened": "sealed",
        "receive": "get gets got receives received",
        "locate": "find found",
    }.items()
}
_MEANINGS = {stem(form): stem(meaning) for meaning, forms in _ALIKE.items() for form in forms}
_FORMS = {stem(meaning): tuple(forms) for meaning, forms in _ALIKE.items()}
