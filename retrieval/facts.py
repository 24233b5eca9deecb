"""The hard facts in a sentence: numbers with their units, prices, times, dates, links, quotes, names.

Written forms are brought together, so that "thirty days", "30-day" and "30 days" are one fact, as are "2 PM" and
"14:00", and "five working days" and "5 business days"; "5 days" is another fact than "5 business days".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from retrieval.words import STOPWORDS, fold, word_list, words

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
    text: str = ""
    """As written."""
    start: int = 0


UNITS: dict[str, str] = {
    form: name
    for name, forms in {
        "second": "seconds sec secs",
        "minute": "minute minutes min mins",
        "hour": "hour hours hr hrs h",
        "day": "day days",
        "business day": "",
        "week": "week weeks wk wks",
        "month": "month months mth mths",
        "year": "year years yr yrs",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "m": "m metre metres meter meters",
        "km": "km kilometre kilometres kilometer kilometers",
        "inch": "inch inches",
        "foot": "foot feet ft",
        "mile": "mile miles",
        "g": "g gram grams gramme grammes",
        "kg": "kg kilo kilos kilogram kilograms",
        "oz": "oz ounce ounces",
        "lb": "lb lbs pound pounds",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "l": "l litre litres liter liters",
        "time": "time times attempt attempts try tries",
        "point": "point points pt pts",
        "gb": "gb gigabyte gigabytes",
        "tb": "tb terabyte terabytes",
    }.items()
    for form in forms.split()
}
_ONES = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
)
_ONES += word_list("seventeen eighteen nineteen")
_TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")
_SMALL = {word: number for number, word in enumerate(_ONES)}
_SMALL |= {word: 10 * number for number, word in enumerate(_TENS, start=2)}
_MONTHS = word_list("january february march april may june july august september october november december")
_WEEKDAYS = word_list("monday tuesday wednesday thursday friday saturday sunday")
_SHORT_NAMES = {name[:3]: name for name in [*_MONTHS, *_WEEKDAYS] if name != "may"}
_SHORT_NAMES |= {"tues": "tuesday", "thur": "thursday", "thurs": "thursday", "sept": "september"}
_ALIASES = {"us": "united states", "u.s": "united states", "usa": "united states", "u.s.a": "united states"}
_ALIASES |= {"uk": "united kingdom", "u.k": "united kingdom", "amex": "american express"}

_MONTH = rf"(?P<month>{'|'.join(_MONTHS)}|{'|'.join(name[:3] for name in _MONTHS)}|sept)\.?"
_DAY_FORMS = "|".join(
    sorted([*_WEEKDAYS, *(form for form, name in _SHORT_NAMES.items() if name in _WEEKDAYS)], reverse=True)
)
_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_WORDS = (
    rf"(?:(?:{'|'.join(_TENS)})[- ](?:{'|'.join(_ONES[1:10])})|{'|'.join(reversed(_ONES))}|{'|'.join(_TENS)}|an?(?= "
    rf"hundred| thousand))"
    r"(?:[- ](?:hundred|thousand))?"
)
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
            rf"(?P<currency>[$€£]|\b(?:usd|eur|gbp)\s?)\s?(?P<amount>{_DIGITS})|(?P<amount2>{_DIGITS}|"
            rf"\b{_WORDS})[- ]?(?P<currency2>€|£|\b(?:us |united states )?(?:dollars?|bucks?|usd|euros?|eur|gbp)\b)"
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
            rf"\b(?P<first>{_DAY_FORMS})\.?(?:\s?(?:to|-|through|thru|until|till|and)\s?)(?P<last>{_DAY_FORMS})\b"
        ),
    ),
    (
        "time",
        re.compile(
            r"\b(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\s?(?P<half>a\.?m|p\.?m)\b\.?|\b(?P<hour24>[01]?\d|"
            r"2[0-3]):(?P<minute24>[0-5]\d)\b|\b(?P<name>noon|midday|midnight)\b"
        ),
    ),
    ("phone", re.compile(r"\+?\(?\d{1,4}\)?(?:[ .-]\(?\d{2,4}\)?){1,4}(?!\s?(?:x|cm|mm|by)\b)(?![\d.])")),
    (
        "free",
        re.compile(
            r"(?<!feel )(?<!-)\bfree(?: of charge)?\b(?! to\b)|\bcomplimentary\b|\b(?:no|without|zero|any)(?: further|"
            r" extra| additional)? (?:charge|cost|fee)\b|\bon (?:us|the house)\b|\bnothing to pay\b|\bwon't cost "
            r"(?:you )?a\b"
        ),
    ),
    (
        "number",
        re.compile(
            rf"(?<![\w.])(?P<amount>{_DIGITS})(?:st|nd|rd|th)?(?![\d])|\b(?P<amount2>{_WORDS})\b|\b(?P<few>a couple|a "
            rf"dozen|half a dozen|twice|double)\b|(?<=in )an?(?= (?:single )?(?:minute|hour|day|week|month|year|"
            rf"business day|working day)\b)"
        ),
    ),
)
_FEW = {"a couple": 2, "twice": 2, "double": 2, "half a dozen": 6, "a dozen": 12}
_CURRENCY = {"€": "eur", "euro": "eur", "euros": "eur", "eur": "eur", "£": "gbp", "gbp": "gbp"}
_UNIT = re.compile(
    r"[\s-]?(?:[a-z]+\s)?(?P<business>(?:business|working|work)[\s-]?days?\b|weekdays?\b)|"
    r"[\s-]?(?P<first>[a-z]+)\b(?:\s(?P<second>[a-z]+)\b)?"
)
_BOUND = re.compile(
    r"(?:\b(?P<most>before|by|until|till|up to|under|below|within|less than|fewer than|at most|no more than|no "
    r"later than|maximum(?: of)?)"
    r"|\b(?P<least>after|over|above|beyond|more than|at least|minimum(?: of)?|starting at|starting from|exceeding))"
    r"(?: the| a| an| about| around)?\s?$"
)
_JOINED = re.compile(r"\s?(?:-|to|x|by|and|or|&|/)\s?$")
_NAME = re.compile(r"(?<![\w@./-])[A-Z][\w'&-]*(?:\.[A-Z]\b)*")
_NOT_NAMES = frozenset(
    word_list(
        """
        i i'm i'd i'll i've ok okay gg glhf lol faq faqs psa fyi tldr yes no not never and or but only free new now you
        your yay woohoo nice good great sweet oh hi hey hello ps id qr pdf tv xp hp npc
        """
    )
)


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
            if fact is None:
                continue
            if kind != "quote":
                taken[match.start() : match.end()] = [True] * (match.end() - match.start())
            found.append(fact)
    bounded = [replace(fact, bound=_bound(low[: fact.start])) for fact in sorted(found, key=lambda fact: fact.start)]
    return _with_shared_units(bounded, low)


def _bound(before: str) -> str:
    """Which way the words before a fact limit it."""
    match = _BOUND.search(before[-24:])
    if match is None:
        return ""
    return "most" if match["most"] else "least"


def opposite(claimed: Fact, held: Fact) -> bool:
    """Whether one fact is an upper limit and the other a lower one: "before 2 pm", "after 2 pm"."""
    return bool(claimed.bound and held.bound and claimed.bound != held.bound)


def names(text: str, proper: frozenset[str] = frozenset()) -> list[Fact]:
    """Capitalised words, each run of them one name, with a house number before it.

    Args:
        text: One sentence.
        proper: Words known as names; one of them counts even where it begins the sentence.
    """
    text = plain(text)
    found: list[Fact] = []
    for match in _NAME.finditer(text):
        word = _name_form(match[0])
        if word is None or (_begins(text, match.start()) and word not in proper):
            continue
        before = found[-1] if found else None
        if before and text[before.start + len(before.text) : match.start()] == " ":
            found[-1] = Fact(
                "name", f"{before.value} {word}", text=text[before.start : match.end()], start=before.start
            )
        elif number := re.search(r"\b\d+ $", text[: match.start()]):
            value = f"{number[0]}{word}"
            found.append(Fact("name", value, text=text[number.start() : match.end()], start=number.start()))
        else:
            found.append(Fact("name", word, text=match[0], start=match.start()))
    return found


def _name_form(written: str) -> str | None:
    """A capitalised word as a name; None for those that are none."""
    word = fold(written).removesuffix("'s").rstrip("'.-")
    if word in _NOT_NAMES or (word in STOPWORDS and written != "US"):
        return None
    return _SHORT_NAMES.get(word, _ALIASES.get(word, word))


def _begins(text: str, start: int) -> bool:
    """Whether a word stands where any word has a capital: at the start, after a full stop or a colon."""
    before = text[:start]
    return not re.search(r"\w", before) or bool(re.search(r"[.!?:]\s*[\"'(*]*$", before))


def name_words(text: str) -> str:
    """The words of a passage in order, as names are looked up in them: folded, blank-separated, with blanks outside."""
    found = [part for word in words(plain(text)) for part in word.removesuffix("'s").split("'")]
    spelled = " ".join(_SHORT_NAMES.get(word, word) for word in found)
    for short, full in _ALIASES.items():
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


def matches(claimed: Fact, held: Fact, held_text: str) -> bool:
    """Whether a fact of a passage says what a sentence claims.

    Args:
        claimed: From the sentence.
        held: From the passage.
        held_text: The line or sentence of the passage, folded; a table's head may hold the unit.
    """
    if claimed.kind == "number" and not claimed.unit:
        # "6 addresses" is not in "6 years"; a bare "9" may be in "9 am".
        return claimed.value in _bare_values(held) and not (claimed.noun and (held.unit or held.kind != "number"))
    if claimed.kind != held.kind or claimed.value != held.value:
        return False
    if claimed.unit == held.unit:
        return True
    return claimed.kind == "number" and not held.unit and claimed.unit in held_text


def _bare_values(fact: Fact) -> tuple[str, ...]:
    """What a number without a unit may stand for in a fact."""
    if fact.kind == "time":
        hour = int(fact.value[:2])
        return (str(hour), str(hour % 12 or 12))
    if fact.kind == "day":
        return (str(int(fact.value[-2:])),)
    return (fact.value,) if fact.kind == "number" else ()


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
        ends = (_SHORT_NAMES.get(match[end], match[end]) for end in ("first", "last"))
        joint = " and " if " and " in written else " to "
        return Fact(kind, joint.join(ends), text=written, start=match.start())
    if kind == "time":
        return Fact(kind, _clock(match), text=written, start=match.start())
    if kind == "day":
        month = (match["month"] or match["month2"])[:3]
        number = [name[:3] for name in _MONTHS].index(month) + 1
        return Fact(kind, f"{number:02}-{int(match['day'] or match['day2']):02}", text=written, start=match.start())
    return _amount(kind, match, low)


def _clock(match: re.Match[str]) -> str:
    if match["name"]:
        return "00:00" if match["name"] == "midnight" else "12:00"
    if match["hour24"]:
        return f"{int(match['hour24']):02}:{match['minute24']}"
    hour = int(match["hour"]) % 12 + (12 if match["half"].startswith("p") else 0)
    return f"{hour:02}:{match['minute'] or '00'}"


def _amount(kind: FactKind, match: re.Match[str], low: str) -> Fact | None:
    groups = match.groupdict()
    written = match[0].strip()
    if groups.get("few"):
        times = "time" if written in ("twice", "double") else _unit_after(low, match.end())
        return Fact(kind, str(_FEW[written]), times, text=written, start=match.start())
    value = _value(groups.get("amount") or groups.get("amount2") or "1")
    if kind == "money":
        currency = (groups.get("currency") or groups.get("currency2") or "$").strip()
        return Fact(kind, value, _CURRENCY.get(currency.split()[-1], "usd"), text=written, start=match.start())
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
        return digits.rstrip("0").rstrip(".") if "." in digits else str(int(digits))
    total = 0
    for word in re.split(r"[- ]", written):
        if word == "hundred":
            total *= 100
        elif word == "thousand":
            total *= 1000
        else:
            total += 1 if word in ("a", "an") else _SMALL[word]
    return str(total)


def _unit_after(low: str, end: int) -> str:
    """The unit of a number that ends there: in the next word, or the one after an adjective ("30 full days")."""
    match = _UNIT.match(low, end)
    if match is None:
        return ""
    if match["business"]:
        return "business day"
    first, second = match["first"], match["second"]
    return UNITS.get(first) or (UNITS.get(second, "") if second and first not in STOPWORDS else "")


def _noun_after(low: str, end: int) -> str:
    match = re.compile(r"[\s-]([a-z]+)\b").match(low, end)
    return match[1] if match and match[1] not in STOPWORDS and match[1] != "x" else ""


def _with_shared_units(found: list[Fact], low: str) -> list[Fact]:
    """In "3 to 5 business days" and "45 x 45 cm" the last number's unit belongs to all."""
    shared: list[Fact] = []
    for fact in reversed(found):
        last = shared[-1] if shared else None
        if (
            last
            and fact.kind == "number"
            and not fact.unit
            and last.kind in ("number", "money", "percent")
            and last.unit
        ):
            between = low[fact.start + len(fact.text) : last.start]
            if last.kind == "number" and _JOINED.match(between):
                fact = replace(fact, unit=last.unit, noun="")
        shared.append(fact)
    return shared[::-1]


def spans(found: list[Fact]) -> Iterator[tuple[int, int]]:
    """Where facts stand in the text."""
    for fact in found:
        yield fact.start, fact.start + len(fact.text)
