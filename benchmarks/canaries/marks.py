"""Canaries, and the watch that knows whose each is and sees where one of them comes out at the wrong brand.

A canary is a made-up word of small letters that says whose it is: no escaping for HTML or JSON, no masking of personal
data, no folding of cases and no cutting into words changes it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MARK = re.compile(r"q[vd]x[a-z]{9}")
"""The second letter says whose."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A canary that came out where it does not belong."""

    way: str
    reader: str
    """The brand that got it; empty where nobody in particular did."""
    mark: str
    place: str
    """Where it was put in."""
    where: str
    """The request, or the call, in whose answer it stood."""


@dataclass
class Watch:
    """Makes canaries and looks for them."""

    seed: int = 7
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Canary to its brand and the place that it was put in."""
    crossings: list[Crossing] = field(default_factory=list)
    looked: Counter[str] = field(default_factory=Counter)
    """Answers, prompts and calls, by the way that they came."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were answered with 4xx, by way."""
    own: Counter[str] = field(default_factory=Counter)
    """Canaries that came out where they belong, by way: else nothing would be shown by there being no others."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (repeatable, and no secret)

    def mark(self, brand: str, place: str) -> str:
        """A new canary of a brand."""
        made = f"q{brand[0]}x" + "".join(self._random.choice("abcdefghijklmnoprstuwyz") for _ in range(9))
        self.places[made] = (brand, place)
        return made

    def marks_in(self, text: str) -> Iterator[str]:
        """The canaries of a text, whatever the case of its letters."""
        # Looked up, since a token of random letters may look like one.
        return (found for found in MARK.findall(text.lower()) if found in self.places)

    def look(self, way: str, reader: str, text: str, *, where: str, sent: Iterable[str] = ()) -> None:
        """Look through something that a brand gets.

        Args:
            way: How it came.
            reader: The brand; empty where none may be in it.
            text: All of it, headers included.
            where: What it answers.
            sent: What the reader sent: they know that, and errors repeat it.
        """
        self.looked[way] += 1
        known = {mark for one in sent for mark in self.marks_in(one)}
        for mark in set(self.marks_in(text)):
            brand, place = self.places[mark]
            if brand == reader:
                self.own[way] += 1
            elif mark not in known:
                self.crossings.append(Crossing(way, reader, mark, place, where))

    def look_at_prompt(self, text: str, way: str = "prompts") -> None:
        """Look through something that must be of one brand, whichever that is; such as a prompt."""
        found = list(dict.fromkeys(self.marks_in(text)))
        reader = self.places[found[0]][0] if found else ""
        self.look(way, reader, text, where="an answer's making")
