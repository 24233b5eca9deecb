"""Personal data in a text, found by form and check sum, and hidden on request.

E-mail and telephone by their written form, cards by issuer, length and the Luhn digit (ISO/IEC 7812-1), accounts by
country, length and remainder 97 (ISO 13616), names where the words around them say so ("my name is ...", "Dear ...").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from retrieval.language.words import STOPWORDS, word_list

Kind = Literal["e-mail", "phone", "card", "IBAN", "name"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of personal data."""

    kind: Kind
    start: int
    end: int


_EMAIL = re.compile(r"(?<![\w.+-])([\w.+-]+)@[\w-]+(?:\.[\w-]+)*\.[a-zA-Z]{2,}")
_DESKS = frozenset(
    word_list("""
    support info help contact hello hi service services sales care noreply no-reply donotreply returns orders order team
    press privacy billing office admin feedback jobs shop store customerservice customer.service customercare helpdesk
    enquiries inquiries complaints security legal accounts concierge reservations booking bookings mail email
    """)
)
"""The part before the @ of an address that is a desk's, no person's."""
_CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d-])")
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 19)),
    (re.compile(r"3(?:0[0-5]|[689])"), (14,)),
)
"""Beginnings and lengths of Visa, Mastercard, American Express, Discover, JCB and Diners numbers."""
_IBAN_LENGTHS = {
    country: int(length)
    for country, length in (
        one.split(":")
        for one in word_list("""
        AD:24 AE:23 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 CH:21 CY:28 CZ:24 DE:22 DK:18 EE:20 ES:24 FI:18 FO:18
        FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 HR:21 HU:28 IE:22 IL:23 IS:26 IT:27 KW:30 KZ:20 LB:28 LI:21 LT:20
        LU:20 LV:21 MC:27 MD:24 ME:22 MK:19 MT:31 NL:18 NO:15 PL:28 PT:25 QA:29 RO:24 RS:22 SA:24 SE:24 SI:19
        SK:24 SM:27 TR:26 UA:29
        """)
    )
}
"""Characters of an account number by country: the IBAN registry of SWIFT."""
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})\d{2}(?=[ -]?[A-Za-z0-9])")
_PHONE = re.compile(
    r"(?<![\w.+#-])(?<!\d )(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}([ .-])\d{3}\1\d{4}|1[ .-]\d{3}[ .-]\d{3}[ .-]\d{4}"
    r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w-]|[., ]\d)"
)
_BARE_NUMBER = re.compile(r"(?<![\w.-])\d{3}[ -]?\d{4}(?![\w-])|(?<![\w.-])\d{9,12}(?![\w-])")
_CALLED = re.compile(
    r"\b(?:phone|mobile|cell|tel|telephone|whatsapp|call me|text me|reach me|ring me)\b", re.IGNORECASE
)
_NOT_CALLED = re.compile(r"\b(?:order|tracking|invoice|purchase|ticket|account|reference|code|id)\b", re.IGNORECASE)
_FREE_CALL = re.compile(r"^\D*(?:\+?1\D*)?(?:8(?:00|88|77|66|55|44|33)|0800)")
_WORD = r"[A-Z][a-z\u00df-\u024f'\u2019-]*[a-z\u00df-\u024f]"
_NAME = rf"{_WORD}(?: (?:van |de |von |al-)?{_WORD}){{0,2}}"
_INTRODUCED = (
    re.compile(rf"\b(?:[Mm]y|[Tt]he|[Hh]is|[Hh]er) (?:full )?name(?: is|['\u2019]s) (?P<name>{_NAME})"),
    re.compile(r"\bmy name(?: is|['\u2019]s) (?P<name>[a-z]{2,}(?: [a-z]{2,})?)(?=[.,!?;]|$| and )", re.IGNORECASE),
    re.compile(rf"\b[Nn]ame ?: ?(?P<name>{_NAME})"),
    re.compile(rf"\b(?:[Mm]r|[Mm]rs|[Mm]s|Miss|Mx|[Dd]r|Prof|Herr|Frau|Mme|Sr|Sra)\.? (?P<name>{_NAME})"),
    re.compile(
        rf"\b(?:[Ii] am|[Ii]['\u2019]m|[Tt]his is) (?P<name>{_WORD} {_WORD})(?=[.,!?;]|$| and | from | speaking| here)"
    ),
    re.compile(rf"\b[Tt]his is (?P<name>{_WORD})(?=,? (?:speaking|calling|here\b))"),
    re.compile(rf"(?:^|\n)(?:Dear|Hi|Hello|Hey) (?P<name>{_NAME})(?=[,!.\n]|$)"),
    re.compile(rf"(?i:regards|sincerely|yours|cheers|thanks),\s*\n\s*(?P<name>{_NAME})\s*$"),
)
_NO_NAMES = frozenset(
    word_list("""
    customer customers sir madam team valued friend friends guest guests client clients all everyone there user member
    members again folks support service shopper traveller traveler patient partner subscriber assistant help attendees
    colleagues students parents travellers travelers candidates readers investors neighbors neighbours not on in spelled
    wrong incorrect different correct misspelled listed still
    """)
)


def contacts(text: str) -> frozenset[str]:
    """Addresses and numbers of a text, in the form that `find` leaves out: those of the brand's own pages."""
    return frozenset(_key(text[one.start : one.end]) for one in find(text) if one.kind in ("e-mail", "phone"))


def find(text: str, *, reply: bool = False, known: Set[str] = frozenset()) -> tuple[Piece, ...]:
    """Personal data in a text, in its order, none inside another.

    Args:
        text: One message.
        reply: Whether the brand wrote it: then a number that is free to call is its own.
        known: Contacts that are public.
    """
    found: list[Piece] = []
    for piece in _candidates(text, reply=reply):
        if _key(text[piece.start : piece.end]) in known:
            continue
        if all(piece.end <= one.start or piece.start >= one.end for one in found):
            found.append(piece)
    return tuple(sorted(found, key=lambda one: one.start))


def hide(text: str, pieces: Sequence[Piece]) -> str:
    """The text with each piece replaced by what it was, such as `[masked e-mail]`."""
    for one in sorted(pieces, key=lambda piece: piece.start, reverse=True):
        text = f"{text[: one.start]}[masked {one.kind}]{text[one.end :]}"
    return text


def _key(written: str) -> str:
    return written.lower() if "@" in written else re.sub(r"\D", "", written)


def _candidates(text: str, *, reply: bool) -> Iterator[Piece]:
    for match in _EMAIL.finditer(text):
        if match[1].lower() not in _DESKS:
            yield Piece("e-mail", *match.span())
    if any(letter.isdigit() for letter in text):
        yield from _ibans(text)
        for match in _CARD.finditer(text):
            if _is_card(re.sub(r"\D", "", match[0])):
                yield Piece("card", *match.span())
        yield from _phones(text, reply=reply)
    for pattern in _INTRODUCED:
        for match in pattern.finditer(text):
            words = match["name"].lower().split()
            if words[0] not in _NO_NAMES and not any(word in STOPWORDS for word in words):
                yield Piece("name", *match.span("name"))


def _phones(text: str, *, reply: bool) -> Iterator[Piece]:
    for match in _PHONE.finditer(text):
        digits = sum(letter.isdigit() for letter in match[0])
        if 7 <= digits <= 15 and not (reply and _FREE_CALL.match(match[0])):
            yield Piece("phone", *match.span())
    for match in _BARE_NUMBER.finditer(text):
        before = text[max(0, match.start() - 40) : match.start()]
        called = list(_CALLED.finditer(before))
        if called and not _NOT_CALLED.search(before[called[-1].end() :]):
            yield Piece("phone", *match.span())


def _is_card(digits: str) -> bool:
    """Whether an issuer has numbers of this beginning and length, and the last digit is the Luhn digit."""
    if not any(start.match(digits) and len(digits) in lengths for start, lengths in _ISSUERS):
        return False
    doubled = (int(one) * (2 if place % 2 else 1) for place, one in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _ibans(text: str) -> Iterator[Piece]:
    for match in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(match[1].upper())
        end = _end_of(text, match.start(), length) if length else None
        if end is None:
            continue
        account = re.sub(r"[ -]", "", text[match.start() : end]).upper()
        if int("".join(str(int(one, 36)) for one in account[4:] + account[:4])) % 97 == 1:
            yield Piece("IBAN", match.start(), end)


def _end_of(text: str, start: int, length: int) -> int | None:
    """Where so many letters and digits end, single blanks and hyphens between them; None where they do not."""
    at = start
    while length and at < len(text):
        if text[at].isascii() and text[at].isalnum():
            length -= 1
        elif text[at] not in " -" or text[at - 1] in " -":
            return None
        at += 1
    return None if length or (at < len(text) and text[at].isalnum()) else at
