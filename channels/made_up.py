"""Ids for simulated events, on platforms where they are numbers."""

from __future__ import annotations

import hashlib


def number(text: str, *, bits: int) -> int:
    """A number from 1 on with at most so many bits, the same for the same text; `bits` is at most 64."""
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") % ((1 << bits) - 1) + 1


def person(sender: str, *, bits: int) -> str:
    """The sender where it is such a number, else one that is derived from it."""
    digits = sender.isascii() and sender.isdigit() and 0 < int(sender[:20]) < 1 << bits and len(sender) <= 20
    return str(int(sender)) if digits else str(number(sender, bits=bits))
