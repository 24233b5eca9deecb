"""The seeded set of the sentence check: true sentences, and the same sentences made wrong in one way each.

    python -m benchmarks.answers_seed > FILE        the cases as JSON lines, for `brandvoice answer check`

Made from `answers_seed.yaml`, `answers_voices.yaml` and `answers_unseen.yaml` with a fixed seed. A case is one sentence
with the passages of its house.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from retrieval.language.sentences import split_sentences
from retrieval.language.words import word_list

SEED_FILES = tuple(
    Path(__file__).with_name(name) for name in ("answers_seed.yaml", "answers_voices.yaml", "answers_unseen.yaml")
)
SEED = 3
Part = Literal["tuning", "unseen"]
RIGHT = ("verbatim", "paraphrased", "style")
WRONG = (
    "number",
    "price",
    "date or time",
    "name",
    "figure of another line",
    "name of another line",
    "unit",
    "negation",
    "other passage",
    "own passage absent",
    "invented",
    "invented nearby",
    "promise",
    "hollow",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence, and whether it may be shown."""

    name: str
    """The class: one of `RIGHT` or `WRONG`."""
    part: Part
    answer: str
    passages: tuple[tuple[str, str], ...]
    """(id, text), the right one among others of its house."""
    passage: str | None
    """The passage that a right claim must be cited with."""

    @property
    def right(self) -> bool:
        """Whether a customer may read it."""
        return self.name in RIGHT


_MONEY = re.compile(
    r"(?P<sign>[$€£])(?P<amount>\d[\d,]*(?:\.\d+)?)|(?P<kr>\d+)(?= kr\b)|(?P<cents>\d+(?:\.\d+)?)(?= cents)"
)
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}\b|\b\d{1,2}(?= [ap]m\b)")
_MONTHS = word_list("January February March April May June July August September October November December")
_DAYS = word_list("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_CALENDAR = re.compile(rf"\b(?:{'|'.join([*_MONTHS, *_DAYS])})(?=s?\b)")
_NUMBER = re.compile(r"(?<![\w$€£.,:])(?<!-)\d+(?:[.,]\d+)*(?![\d:]|[.,]\d| ?[ap]m\b| kr\b| cents)")
_SPELLED = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|ninety)\b")
_UNITS = {
    "minutes": "hours", "minute": "hour", "hours": "days", "hour": "day", "days": "weeks", "day": "month",
    "weeks": "months", "week": "month", "months": "years", "month": "year", "year": "month", "years": "months",
    "kg": "g", "GB": "MB", "TB": "GB", "metres": "kilometres", "metre": "kilometre", "g": "kg", "kWh": "MWh",
    "km/h": "m/s", "Mbit/s": "kbit/s", "€": "£", "$": "€", "£": "$", "kr": "€", "percent": "dollars",
}  # fmt: skip
_FLIPS = (
    (r"\bcannot\b|\bcan't\b", "can"),
    (r"\bmust not\b|\bmay not\b", "may"),
    (r"\b(is|are|was|were|does|do|will) not\b", r"\1"),
    (r"\b(is|are|do|does|was|wo)n't\b", r"\1"),
    (r"^No (\w+)", r"All \1"),
    (r"\bNever\b", "Always"),
    (r"\bnever\b", "always"),
    (r"\bno\b", "some"),
    (r"\bcan\b", "cannot"),
    (r"\bmay\b", "may not"),
    (r"\bmust\b", "need not"),
    (r"\b(is|are) (required|included|allowed|welcome|waived|insured|covered|valid|accepted|free)\b", r"\1 not \2"),
    (r"\bwithout\b", "with"),
    (r"\b(is|are)\b", r"\1 not"),
)  # fmt: skip
_FOREIGN = ("Zenvo", "Castlebury", "Miro Tanaka", "Polaris 9", "Granholm")


def cases(file: Path) -> list[Case]:
    """All cases of one set, in the same order each time."""
    seed = yaml.safe_load(file.read_text("utf-8"))
    houses = seed["houses"]
    dice = random.Random(SEED)  # noqa: S311, a seed is the point
    found: list[Case] = []
    for house in houses:
        others = [one for one in houses if one is not house and one["part"] == house["part"]]
        found += _of_house(house, others, dice)
    for part in ("tuning", "unseen"):
        own = [one for one in houses if one["part"] == part]
        for name, kind in (
            ("style", "style"),
            ("promise", "promises"),
            ("invented", "invented"),
            ("hollow", "hollow"),
        ):
            for text in seed.get(kind, {}).get(part, ()):
                # An invented sentence is no less invented elsewhere: each meets several houses.
                for house in dice.sample(own, 4 if name == "invented" else 1):
                    found.append(Case(name, part, text, _passages(house, dice), None))
    return found


def _of_house(house: dict[str, Any], others: Sequence[dict[str, Any]], dice: random.Random) -> Iterator[Case]:
    for text in house.get("invented", ()):
        yield Case("invented nearby", house["part"], text, _passages(house, dice), None)
    for passage in house["passages"]:
        verbatim = split_sentences(passage["text"])
        said = [("verbatim", one) for one in verbatim] + [("paraphrased", one) for one in passage["said"]]
        for name, text in said:
            yield Case(name, house["part"], text, _passages(house, dice), passage["id"])
            for way, wrong in _made_wrong(text, passage, dice):
                yield Case(way, house["part"], wrong, _passages(house, dice), None)
            if swapped := _other_name(text, passage, house, dice):
                yield Case("name of another line", house["part"], swapped, _passages(house, dice), None)
        # Right in this house, but not among the passages that were found.
        for _, text in said:
            yield Case("own passage absent", house["part"], text, _passages(house, dice, without=passage["id"]), None)
        foreign = dice.choice(dice.choice(list(others))["passages"])
        for text in (dice.choice(split_sentences(foreign["text"])), dice.choice(foreign["said"])):
            yield Case("other passage", house["part"], text, _passages(house, dice), None)


def _passages(house: dict[str, Any], dice: random.Random, without: str = "") -> tuple[tuple[str, str], ...]:
    shuffled = dice.sample(house["passages"], len(house["passages"]))
    return tuple((one["id"], one["text"]) for one in shuffled if one["id"] != without)


def _made_wrong(text: str, passage: dict[str, Any], dice: random.Random) -> Iterator[tuple[str, str]]:
    """The sentence with one thing changed, once in each way that it allows."""
    everything = passage["text"] + " ".join(passage["said"])
    if money := list(_MONEY.finditer(text)):
        match = dice.choice(money)
        yield (
            "price",
            _replace(
                text, match.span(match.lastgroup or 0), _other_number(match[match.lastgroup or 0], everything, dice)
            ),
        )
    if clock := list(_CLOCK.finditer(text)):
        yield "date or time", _replace(text, dice.choice(clock).span(), _other_clock(everything, dice))
    elif calendar := list(_CALENDAR.finditer(text)):
        match = dice.choice(calendar)
        kind = _MONTHS if match[0] in _MONTHS else _DAYS
        choices = [one for one in kind if one not in everything]
        if choices:
            yield "date or time", _replace(text, match.span(), dice.choice(choices))
    yield from _numbers_made_wrong(text, passage, everything, dice)
    yield from _words_made_wrong(text, passage, dice)


def _numbers_made_wrong(
    text: str, passage: dict[str, Any], everything: str, dice: random.Random
) -> Iterator[tuple[str, str]]:
    """Another number, and a number of another line."""
    if numbers := [*_NUMBER.finditer(text), *_SPELLED.finditer(text)]:
        match = dice.choice(numbers)
        yield "number", _replace(text, match.span(), _other_number(match[0], everything, dice))
        own = [one[0] for one in _NUMBER.finditer(passage["text"]) if not re.search(rf"\b{one[0]}\b", text)]
        if own and match[0][0].isdigit():
            yield "figure of another line", _replace(text, match.span(), dice.choice(own))


def _words_made_wrong(text: str, passage: dict[str, Any], dice: random.Random) -> Iterator[tuple[str, str]]:
    """Another name, another unit, yes for no."""
    for name in passage["names"]:
        if name in text:
            yield "name", text.replace(name, dice.choice(_FOREIGN))
            break
    if units := [one for one in re.finditer(r"[$€£]|[A-Za-z/]+", text) if _is_unit(text, one)]:
        match = dice.choice(units)
        yield "unit", _replace(text, match.span(), _UNITS[match[0]])
    for pattern, flipped in _FLIPS:
        if re.search(pattern, text):
            yield "negation", re.sub(pattern, flipped, text, count=1)
            break


def _other_name(text: str, passage: dict[str, Any], house: dict[str, Any], dice: random.Random) -> str | None:
    """The sentence with a name that its house has for something else."""
    for name in passage["names"]:
        others = [
            other for one in house["passages"] for other in one["names"] if other not in text and name not in other
        ]
        if name in text and others:
            return text.replace(name, dice.choice(others))
    return None


def _is_unit(text: str, match: re.Match[str]) -> bool:
    if match[0] not in _UNITS:
        return False
    return (
        match[0] in "$€£"
        or re.search(r"(?:\d|\b(?:two|three|four|five|six|eight|ten|ninety))[ -](?:\w+ )?$", text[: match.start()])
        is not None
    )


def _replace(text: str, span: tuple[int, int], by: str) -> str:
    return text[: span[0]] + by + text[span[1] :]


def _other_number(written: str, everything: str, dice: random.Random) -> str:
    """A number of about the same size that the passage does not hold, written in the same way."""
    if not written[0].isdigit():
        held = everything.lower()
        return dice.choice([one for one in ("four", "seven", "nine", "thirteen", "forty") if one not in held])
    value = float(written.replace(",", ""))
    while True:
        changed = max(1.0, round(value * dice.choice((0.5, 0.7, 1.4, 2.0, 3.0)) + dice.choice((-1, 1, 2))))
        shown = f"{changed:,.2f}" if "." in written and len(written.split(".")[1]) == 2 else f"{changed:,.0f}"
        if not re.search(rf"(?<![\d.,]){re.escape(shown)}(?![\d]|[.,]\d)", everything) and changed != value:
            return shown


def _other_clock(everything: str, dice: random.Random) -> str:
    while True:
        hour, minute = dice.randrange(1, 12), dice.choice(("00", "15", "30", "45"))
        if not re.search(rf"\b{hour}(?::{minute}| [ap]m)|\b{hour + 12}:{minute}", everything):
            return f"{hour}:{minute}" if minute != "00" else f"{hour}"


def main() -> int:
    """Write the cases."""
    for case in (one for file in SEED_FILES for one in cases(file)):
        row = {
            "class": case.name,
            "part": case.part,
            "answer": case.answer,
            "passages": [{"id": name, "text": text} for name, text in case.passages],
        }
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
