"""The hard facts in a sentence: numbers with their units, prices, times, dates, links, quotes.

Written forms are brought together, so that "thirty days", "30-day" and "30 days" are one fact, as are "2 PM" and
"14:00", and "five working days" and "5 business days"; "5 days" is another fact than "5 business days".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from retrieval.language.measures import CURRENCIES, ONES, PERIODS, SCALES, SMALL, STRETCHES, TENS, UNITS
from retrieval.language.words import STOPWORDS, fold, word_list

FactKind = Literal[
    "money", "percent", "time", "number", "day", "days", "free", "link", "email", "phone", "quote", "name"
]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that must stand in a passage literally."""

    kind: FactKind
    value: str
    """Normal form: digits, `HH:MM`, `MM-DD`, or folded text."""
    unit: str = ""
    """Unit of measure of a number; empty where the next word is none."""
    noun: str = ""
    """The word after a number without a unit, where it is no function word."""
    bound: str = ""
    """`most` after "before", "up to", "under"; `least` after "from", "over", "at least"; else empty."""
    per: str = ""
    """The stretch of time that it is counted for: "$9 a month"."""
    text: str = ""
    """As written."""
    start: int = 0


MONTHS = word_list("january february march april may june july august september october november december")
WEEKDAYS = word_list("monday tuesday wednesday thursday friday saturday sunday")
SHORT_NAMES = {name[:3]: name for name in [*MONTHS, *WEEKDAYS] if name != "may"}
SHORT_NAMES |= {"tues": "tuesday", "thur": "thursday", "thurs": "thursday", "sept": "september"}


_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|{'|'.join(name[:3] for name in MONTHS)}|sept)\.?"
_DAY_FORMS = "|".join(
    sorted([*WEEKDAYS, *(form for form, name in SHORT_NAMES.items() if name in WEEKDAYS)], reverse=True)
)
_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_ONES_FROM_ONE = "|".join(reversed(ONES[1:]))
_TENS_AND_ONES = rf"(?:{'|'.join(TENS)})[- ](?:{'|'.join(ONES[1:10])})"
_WORDS = (
    rf"(?:{_TENS_AND_ONES}|{'|'.join(reversed(ONES))}|{'|'.join(TENS)}|an?(?= hundred| thousand))"
    rf"(?:[- ](?:hundred|thousand))?(?:(?<=hundred) and (?:{_TENS_AND_ONES}|{_ONES_FROM_ONE}|{'|'.join(TENS)}))?"
)
_HOUR = rf"(?:{'|'.join(reversed(ONES[1:13]))}|1[0-2]|[1-9])"
NIGHT_BEGINS = 6
CLOCK_IN_WORDS = re.compile(
    rf"\b(?:(?P<shift>half past|quarter past|quarter to|half(?= (?:{'|'.join(ONES[1:13])})\b(?=[,.;!?]|$| (?:in|and|or|"
    rf"until|till|to|at|on)\b)))"
    rf" (?P<hour>{_HOUR})(?: o'clock)?|(?P<hour2>{_HOUR}) o'clock|(?P<hour3>{_HOUR})(?= in the (?:morning|afternoon|"
    r"evening)| at night))\b(?: in the (?=morning|afternoon|evening)| (?=at night))?"
    r"(?P<part>morning|afternoon|evening|at night)?"
)
"""Times of day in words: "half past nine", "quarter to six in the evening", "five o'clock", "eight in the morning"."""
_PATTERNS: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (
        "link",
        re.compile(
            r"(?:https?://|www\.)[^\s)\]>\"']+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|org|shop|store|io|co\.uk|"
            r"example|eu|info|biz)\b(?:/[^\s)\]>\"']*)?"
        ),
    ),
    ("quote", re.compile(r"\"([^\"]{2,80})\"")),
    (
        "money",
        re.compile(
            rf"(?P<currency>[$€£¥₹]|\b(?:usd|eur|gbp|chf|jpy|inr|sek|nok|dkk|kr\.?)\s?)\s?(?P<amount>{_DIGITS})"
            rf"(?:\s?(?P<scale>million|billion|bn|m|k)\b)?|(?P<amount2>{_DIGITS}|\b{_WORDS})(?: (?P<scale2>million|"
            rf"billion))?[- ]?(?P<currency2>[$€£¥₹](?!\s?\d)|\b(?:us |united states )?(?:dollars?|bucks?|euros?|yen|"
            r"rupees?|francs?|kroner?|kronor|kr|usd|eur|gbp|chf|jpy|inr|sek|nok|dkk)\b)"
        ),
    ),
    ("percent", re.compile(rf"(?P<amount>{_DIGITS}|\b{_WORDS})\s?(?:%|\bper ?cent\b)")),
    (
        "day",
        re.compile(
            rf"\b(?:(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}(?!\w)|"
            rf"{_MONTH.replace('<month>', '<month2>')} (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?(?!\w))"
        ),
    ),
    (
        "days",
        re.compile(
            rf"\b(?P<first>{_DAY_FORMS})s?\.?(?:\s?(?:to|-|through|thru|until|till|and)\s?)(?P<last>{_DAY_FORMS})s?\b"
        ),
    ),
    ("time", CLOCK_IN_WORDS),
    (
        "time",
        re.compile(
            r"\b(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\s?(?P<half>a\.?m|p\.?m)\b\.?|\b(?P<hour24>[01]?\d|"
            r"2[0-3]):(?P<minute24>[0-5]\d)\b(?: in "
            r"the (?P<part>morning|afternoon|evening)| (?P<night>at night))?|\b(?P<name>noon|midday|midnight)\b"
        ),
    ),
    ("phone", re.compile(r"\+?\(?\d{1,4}\)?(?:[ .-]\(?\d{2,4}\)?){1,4}(?!\s?(?:x|cm|mm|by)\b)(?!\.?\d)")),
    (
        "free",
        re.compile(
            r"(?<!feel )(?<!-)\bfree(?: of charge)?\b(?! to\b)|\bcomplimentary\b|\bwaived?\b|\b(?:no|without|zero|"
            r"any)(?: an?)?(?: (?!are|is|do|can|may)\w+)? (?:charge|cost|fee)s?\b|\bon (?:us|the house)\b|"
            r"\bnothing to pay\b|\b(?:costs?|pays?|paying|paid|charged?)(?: you)? nothing\b|"
            r"\bwithout paying(?: anything)?\b(?! extra| more| a penalty)|\b(?:not|never|"
            r"n't)(?: be)? charged(?= *[.!,;]|$| for\b)|\b(?:not|never|\w+n't) (?:cost|pay|"
            r"charge)(?: you)? (?:a (?:cent|penny|dime|thing)|anything)\b"
        ),
    ),
    ("number", re.compile("|".join(rf"\b(?P<s{at}>{form})\b" for at, (form, *_) in enumerate(STRETCHES)))),
    (
        "number",
        re.compile(
            rf"(?<![\w.])(?P<amount>{_DIGITS})(?:st|nd|rd|th)?(?![\d])|(?<!high )\b(?P<amount2>{_WORDS})\b(?!-time)|"
            rf"\b(?P<few>a couple|a "
            rf"dozen|half a dozen|twice|double(?!-))\b|(?<=in )an?(?= (?:single )?(?:minute|hour|day|week|month|year|"
            rf"business day|working day)\b)"
        ),
    ),
)
_FEW = {"a couple": 2, "twice": 2, "double": 2, "half a dozen": 6, "a dozen": 12}
_UNIT = re.compile(
    r"[\s-]?(?:[a-z]+\s)?(?P<business>(?:business|working|work)[\s-]?days?\b|weekdays?\b)|"
    r"[\s-]?(?P<first>°?[a-z]+(?:/[a-z]+)?)\b(?:\s(?P<second>[a-z]+)\b)?"
)
_NEGATED = r"(?P<not>\b(?:no\s|(?:not|never|cannot|\w+n't)\s(?:\w+\s){0,2}?))?"
_BOUND = re.compile(
    _NEGATED
    + r"(?:\b(?P<most>before|by|until|till|up to|under|below|within|less than|fewer than|at most|maximum(?: of)?|"
    r"younger than|shorter than|smaller than|lighter than|earlier than)"
    r"|\b(?P<least>after|over|above|beyond|more than|at least|minimum(?: of)?|starting at|starting from|exceeding|"
    r"older than|longer than|larger than|faster than|heavier than|higher than|later than))"
    r"(?: the| a| an| about| around)?\s?[$€£¥₹]?$"
)
_BOUND_AFTER = re.compile(
    r"^[^.,;]{0,12}?\b(?:(?P<most>or (?:less|fewer|below|younger|earlier)|at most|at the latest|maximum)|"
    r"(?P<least>or (?:more|over|above|older|later|longer)|and (?:over|above|older|up)|upwards|at least|minimum))\b"
)
_PER = re.compile(
    r"^(?: (?!and|or|but)[a-z]+)?(?: (?:per|for each|each|an?) (?:user|person|head))?[ ,]"
    r"(?:(?:per|an?|each|every|for each|for every) ?(?:single |calendar )?(?P<period>minute|hour|day|night|week|month|"
    r"year)\b|(?P<adverb>hourly|daily|nightly|weekly|monthly|yearly|annually))|^/(?P<slash>minute|hour|day|week|month|"
    r"year)"
)
_NO_NOUNS = frozenset({"x", "per", "max", "min", "maximum", "minimum", "ahead", "early", "late", "old", "away"})
_JOINED = re.compile(r"\s?(?:-|to|x|by|and|or|&|/)\s?$")


def plain(text: str) -> str:
    """Straight quotes, hyphens and blanks instead of typographic ones, character by character."""
    return text.translate(_PLAIN)


_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u2010": "-",
        "\u2011": "-",
    }
    | {
        "\u2012": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "\u00d7": "x",
    }
)


def facts(text: str) -> list[Fact]:
    """All facts but names, in order of the text."""
    text = plain(text)
    low = text.lower()
    taken = [False] * len(text)
    found: list[Fact] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(low):
            if any(taken[match.start() : match.end()]):
                continue
            fact = _fact(kind, match, low)
            if fact is None or (kind == "day" and not _is_written_month(text, match)):
                continue
            if kind != "quote":
                taken[match.start() : match.end()] = [True] * (match.end() - match.start())
            found.append(fact)
    found.sort(key=lambda fact: fact.start)
    limited = [replace(fact, bound=_bound(low, fact), per=_per(low, fact)) for fact in found]
    return _with_shared_units(limited, low)


def _bound(low: str, fact: Fact) -> str:
    """Which way the words around a fact limit it: "not older than" is an upper limit."""
    before = _BOUND.search(low[max(0, fact.start - 48) : fact.start])
    if before is not None:
        return "most" if bool(before["most"]) is not bool(before["not"]) else "least"
    after = _BOUND_AFTER.search(low[fact.start + len(fact.text) :])
    if after is None:
        return ""
    return "most" if after["most"] else "least"


def _per(low: str, fact: Fact) -> str:
    """The stretch of time that a sum or an amount is counted for."""
    if fact.kind not in ("money", "number"):
        return ""
    match = _PER.match(low[fact.start + len(fact.text) :])
    if match is None:
        return ""
    found = match["period"] or match["slash"] or PERIODS[match["adverb"]]
    return "day" if found == "night" else found


def _fact(kind: FactKind, match: re.Match[str], low: str) -> Fact | None:
    written = match[0].strip()
    if kind in ("email", "link"):
        value = re.sub(r"^(?:https?://)?(?:www\.)?", "", written).rstrip("/.,;:!?*")
        return Fact(kind, value, text=written, start=match.start())
    if kind == "quote":
        return Fact(kind, " ".join(fold(match[1]).strip(" .,!?").split()), text=written, start=match.start())
    if kind == "phone":
        digits = re.sub(r"\D", "", written)
        return Fact(kind, digits, text=written, start=match.start()) if len(digits) >= 7 else None
    if kind == "free":
        return Fact(kind, "free", text=written, start=match.start())
    if kind == "days":
        ends = (SHORT_NAMES.get(match[end], match[end]) for end in ("first", "last"))
        joint = " and " if " and " in written else " to "
        return Fact(kind, joint.join(ends), text=written, start=match.start())
    if kind == "time":
        if match.re is CLOCK_IN_WORDS:
            return _clock_in_words(match)
        value = _clock(match)
        either = bool(match["hour24"]) and not (match["part"] or match["night"]) and 1 <= int(match["hour24"]) <= 12
        return Fact(kind, value, "either" if either else "", text=written, start=match.start())
    if kind == "day":
        month = (match["month"] or match["month2"])[:3]
        number = [name[:3] for name in MONTHS].index(month) + 1
        return Fact(kind, f"{number:02}-{int(match['day'] or match['day2']):02}", text=written, start=match.start())
    return _amount(kind, match, low)


def _is_written_month(text: str, match: re.Match[str]) -> bool:
    """Whether the month has its capital: "children below 12 may come" is no date."""
    return text[match.start("month") if match["month"] else match.start("month2")].isupper()


def _clock_in_words(match: re.Match[str]) -> Fact:
    """A time such as "quarter to six in the evening", 17:45; without a part of the day it is either of two."""
    written = match["hour"] or match["hour2"] or match["hour3"]
    hour = (int(written) if written.isdigit() else SMALL[written]) % 12
    shift = {"half past": 30, "half": 30, "quarter past": 15, "quarter to": -15}.get(match["shift"] or "", 0)
    part = match["part"]
    late = part is not None and (part in ("afternoon", "evening") or (part == "at night" and hour >= NIGHT_BEGINS))
    minutes = (60 * (hour + (12 if late else 0)) + shift) % (24 * 60)
    value = f"{minutes // 60:02}:{minutes % 60:02}"
    return Fact("time", value, "" if part else "either", text=match[0].strip(), start=match.start())


def _clock(match: re.Match[str]) -> str:
    if match["name"]:
        return "00:00" if match["name"] == "midnight" else "12:00"
    if match["hour24"]:
        late = match["part"] in ("afternoon", "evening") or match["night"]
        hour = int(match["hour24"])
        return f"{hour + 12 if late and hour < 12 else hour:02}:{match['minute24']}"
    hour = int(match["hour"]) % 12 + (12 if match["half"].startswith("p") else 0)
    return f"{hour:02}:{match['minute'] or '00'}"


def _amount(kind: FactKind, match: re.Match[str], low: str) -> Fact | None:
    groups = match.groupdict()
    written = match[0].strip()
    if (match.lastgroup or "").startswith("s") and match.re.groups == len(STRETCHES):
        _, amount, unit = STRETCHES[int((match.lastgroup or "")[1:])]
        return Fact(kind, amount, unit, text=written, start=match.start())
    if groups.get("few"):
        times = (
            "time"
            if written in ("twice", "double")
            else _unit_after(low, match.end() + (3 if low.startswith(" of", match.end()) else 0))
        )
        return Fact(kind, str(_FEW[written]), times, text=written, start=match.start())
    value = _value(groups.get("amount") or groups.get("amount2") or "1")
    if kind == "money":
        currency = (groups.get("currency") or groups.get("currency2") or "$").strip(" .")
        scale = SCALES.get(groups.get("scale") or groups.get("scale2") or "", 1)
        value = value if scale == 1 else f"{float(value) * scale:.10g}"
        return Fact(kind, value, CURRENCIES[currency.split()[-1]], text=written, start=match.start())
    if kind == "percent":
        return Fact(kind, value, text=written, start=match.start())
    unit = _unit_after(low, match.end())
    # "one" is mostly a pronoun: it counts where a unit follows.
    if written in ("one", "zero") and not unit:
        return None
    noun = "" if unit else _noun_after(low, match.end())
    return Fact(kind, value, unit, noun, text=written, start=match.start())


def _value(written: str) -> str:
    digits = written.replace(",", "")
    if digits[0].isdigit():
        if "." in digits:
            return digits.rstrip("0").rstrip(".")
        # Python refuses to read a number of over 4,300 digits; such a one is no amount, and compared as it stands.
        return str(int(digits)) if len(digits) < 100 else digits
    total = 0
    for word in re.split(r"[- ]", written):
        if word == "hundred":
            total *= 100
        elif word == "thousand":
            total *= 1000
        elif word == "and":
            continue
        else:
            total += 1 if word in ("a", "an") else SMALL[word]
    return str(total)


def _unit_after(low: str, end: int) -> str:
    """The unit of a number that ends there: in the next word, or the one after an adjective ("30 full days")."""
    match = _UNIT.match(low, end)
    if match is None:
        return ""
    if match["business"]:
        return "business day"
    first, second = match["first"], match["second"]
    if first not in UNITS:
        first = first.split("/")[0]
    return UNITS.get(first) or (UNITS.get(second, "") if second and first not in STOPWORDS else "")


def _noun_after(low: str, end: int) -> str:
    match = re.compile(r"[\s-]([a-z]+)\b").match(low, end)
    return match[1] if match and match[1] not in STOPWORDS | _NO_NOUNS else ""


def _with_shared_units(found: list[Fact], low: str) -> list[Fact]:
    """In "3 to 5 business days", "45 x 45 cm" and "1 to 15 November" the last number's unit belongs to all."""
    shared: list[Fact] = []
    for fact in reversed(found):
        last = shared[-1] if shared else None
        if last and fact.kind == "number" and not fact.unit:
            fact = _sharing(fact, last, low[fact.start + len(fact.text) : last.start])
        elif last and fact.kind == "day" and last.kind == "number" and not last.unit:
            between = low[fact.start + len(fact.text) : last.start]
            if _JOINED.match(between) and int(float(last.value)) <= 31:
                shared[-1] = replace(last, kind="day", value=f"{fact.value[:3]}{int(float(last.value)):02}", noun="")
        shared.append(fact)
    return shared[::-1]


def _sharing(fact: Fact, last: Fact, between: str) -> Fact:
    """A number with the unit of the one after it, where both are joined."""
    if not _JOINED.match(between):
        return fact
    if last.kind == "number" and last.unit:
        return replace(fact, unit=last.unit, noun="")
    if last.kind == "day" and fact.value.isdigit() and int(fact.value) <= 31:
        return replace(fact, kind="day", value=f"{last.value[:3]}{int(fact.value):02}", noun="")
    return fact


def spans(found: list[Fact]) -> Iterator[tuple[int, int]]:
    """Where facts stand in the text."""
    for fact in found:
        yield fact.start, fact.start + len(fact.text)
