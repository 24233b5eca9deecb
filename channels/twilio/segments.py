"""How many messages of the mobile network an SMS takes, which is what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from channels.graphemes import length

GSM7_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Characters behind an escape, which take two places.

Source for both: 3GPP TS 23.038, section 6.2.1.
"""

ALONE = {"GSM-7": 160, "UCS-2": 70}
JOINED = {"GSM-7": 153, "UCS-2": 67}
"""Places in one segment; joined ones give up some for their number. Source: 3GPP TS 23.040, section 9.2.3.24.1."""


@dataclass(frozen=True, slots=True)
class Segments:
    """What becomes of a text on the network."""

    encoding: Literal["GSM-7", "UCS-2"]
    """One character that GSM-7 lacks, such as an emoji or a typographic quote, moves the whole text to UCS-2."""
    count: int


def is_gsm7(text: str) -> bool:
    """Whether every character is one of GSM-7."""
    return GSM7_BASIC.union(GSM7_EXTENDED).issuperset(text)


def segments(text: str) -> Segments:
    """Encoding and number of segments of an SMS; none for an empty text.

    A character of two places (an escaped one of GSM-7, a surrogate pair) is not cut: where one place is left, it
    begins the next segment.
    """
    if is_gsm7(text):
        return Segments("GSM-7", _count((2 if one in GSM7_EXTENDED else 1 for one in text), "GSM-7"))
    return Segments("UCS-2", _count(map(length, text), "UCS-2"))


def _count(costs: Iterable[int], encoding: Literal["GSM-7", "UCS-2"]) -> int:
    places = list(costs)
    if sum(places) <= ALONE[encoding]:
        return 1 if places else 0
    count, used = 1, 0
    for cost in places:
        if used + cost > JOINED[encoding]:
            count, used = count + 1, 0
        used += cost
    return count
