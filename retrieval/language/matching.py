"""When a fact of a sentence is the same as a fact of a passage, though it is written in another way."""

from __future__ import annotations

import re

from retrieval.language.facts import SHORT_NAMES, Fact, plain
from retrieval.language.measures import DURATIONS, WORKDAYS_A_WEEK
from retrieval.language.names import ALIASES
from retrieval.language.words import words

_COUNTS = ("", "time", "point")
"""Units that a bare number may stand for: "four per year" for "4 times a year"."""
_SAME_UNITS = ({"degree", "°c"}, {"degree", "°f"})
_EVERY_WORKDAY = re.compile(r"\bweekdays\b|\b(?:working|business) days\b")


def matches(claimed: Fact, held: Fact, held_text: str) -> bool:
    """Whether a fact of a passage says what a sentence claims.

    Args:
        claimed: From the sentence.
        held: From the passage.
        held_text: The line or sentence of the passage, folded; a table's head may hold the unit.
    """
    if claimed.per and held.per and claimed.per != held.per and claimed.kind == held.kind:
        return False
    if claimed.kind == "time" == held.kind:
        return _same_clock(claimed, held)
    if claimed.kind == "number" and not claimed.unit:
        # "6 addresses" and "at 6" are not in "6 years"; a bare "9" may be in "9 am".
        unlike = held.unit not in _COUNTS if held.kind == "number" else bool(claimed.noun)
        if claimed.bound and held.unit == "year":
            # "21 or older" is an age.
            unlike = bool(claimed.noun)
        return claimed.value in _bare_values(held) and not unlike
    if _as_money(claimed, held) or _same_duration(claimed, held) or _same_rhythm(claimed, held):
        return True
    if claimed.kind != held.kind or claimed.value != held.value:
        return False
    if claimed.unit == held.unit or {claimed.unit, held.unit} in _SAME_UNITS:
        return True
    if claimed.unit in _COUNTS and not held.unit and claimed.per == held.per:
        # "Three times" for "three wrong entries".
        return True
    return claimed.kind == "number" and not held.unit and claimed.unit in held_text


def written_elsewhere(claimed: Fact, held_text: str) -> bool:
    """Whether a text says in words what no fact of it holds: "in a day" as "daily", "Monday to Friday" as weekdays."""
    if claimed.kind == "days" and claimed.value == "monday to friday":
        return bool(_EVERY_WORKDAY.search(held_text))
    if claimed.text.endswith(("the clock", "night", "24/7")):
        return (
            re.search(r"\b(?:24 hours|24/7|round the clock|at any (?:hour|time)|day (?:and|or) night)", held_text)
            is not None
        )
    if claimed.kind == "number" and claimed.text in ("a", "an") and claimed.unit:
        return re.search(rf"\b(?:an?|one|per|each|every) {claimed.unit}\b|\bdaily\b", held_text) is not None
    return False


def opposite(claimed: Fact, held: Fact) -> bool:
    """Whether one fact is an upper limit and the other a lower one: "before 2 pm", "after 2 pm"."""
    return bool(claimed.bound and held.bound and claimed.bound != held.bound)


def name_words(text: str) -> str:
    """The words of a passage in order, as names are looked up in them: folded, blank-separated, with blanks outside."""
    found = [part for word in words(plain(text)) for part in word.removesuffix("'s").split("'")]
    spelled = " ".join(SHORT_NAMES.get(word, word) for word in found)
    for short, full in ALIASES.items():
        spelled = (
            re.sub(rf"\b{re.escape(short)}\b(?! {full.split()[-1]})", full, spelled) if "." not in short else spelled
        )
    return f" {spelled} "


def holds_name(held: str, name: Fact) -> bool:
    """Whether the words of a passage (from `name_words`) hold a name, its words side by side."""
    wanted = name_words(name.value)
    if wanted in held or f"{wanted[:-1]}s " in held or wanted.removesuffix("s ") + " " in held:
        return True
    # "The Ombrix 4" and "Ombrix consoles" write a number or a plain word between.
    return "-" in name.value and all(f" {word} " in held for word in wanted.split())


def _same_clock(claimed: Fact, held: Fact) -> bool:
    """Times of day; "6:15" without am or pm is either of two."""
    if claimed.value == held.value:
        return True
    (hour, minute), (other, others_minute) = (one.value.split(":") for one in (claimed, held))
    either = "either" in (claimed.unit, held.unit)
    return either and minute == others_minute and int(hour) % 12 == int(other) % 12


def _as_money(claimed: Fact, held: Fact) -> bool:
    """Whether "eight pounds" is "£8", and "25 cents" is "$0.25"."""
    number, money = (claimed, held) if claimed.kind == "number" else (held, claimed)
    if number.kind != "number" or money.kind != "money":
        return False
    if number.unit == "lb":
        return money.unit == "gbp" and number.value == money.value
    return number.unit == "cent" and float(number.value) == round(100 * float(money.value), 4)


def _same_duration(claimed: Fact, held: Fact) -> bool:
    """Whether "two weeks" is "14 days"."""
    if claimed.kind != "number" or held.kind != "number":
        return False
    if {claimed.unit, held.unit} == {"week", "business day"}:
        weeks, days = (claimed, held) if claimed.unit == "week" else (held, claimed)
        return float(weeks.value) * WORKDAYS_A_WEEK == float(days.value)
    if claimed.unit not in DURATIONS or held.unit not in DURATIONS:
        return False
    (base, size), (other, others_size) = DURATIONS[claimed.unit], DURATIONS[held.unit]
    return base == other and float(claimed.value) * size == float(held.value) * others_size


def _same_rhythm(claimed: Fact, held: Fact) -> bool:
    """Whether "twice a year" is "every six months"."""
    often, every = (claimed, held) if claimed.unit == "time" else (held, claimed)
    if often.unit != "time" or often.per not in DURATIONS or every.kind != "number" or every.unit not in DURATIONS:
        return False
    (base, size), (other, others_size) = DURATIONS[often.per], DURATIONS[every.unit]
    return base == other and float(often.value) * float(every.value) * others_size == size


def _bare_values(fact: Fact) -> tuple[str, ...]:
    """What a number without a unit may stand for in a fact."""
    if fact.kind == "time":
        hour = int(fact.value[:2])
        return (str(hour), str(hour % 12 or 12))
    if fact.kind == "day":
        return (str(int(fact.value[-2:])),)
    # "$45 online, but 70 at the airport" leaves out the second sign.
    return (fact.value,) if fact.kind in ("number", "money") else ()
