"""Text as people see it: clusters that must never be cut (an emoji with its skin tone, a letter with its accents)."""

from __future__ import annotations

# The package ships no types; what is used of it is typed right here.
import regex  # type: ignore[import-untyped,unused-ignore]

_CLUSTER = regex.compile(r"\X")


def clusters(text: str) -> list[str]:
    r"""The extended grapheme clusters of a text; joined they are the text.

    Source: UAX #29, as `\X` of the regex package.
    """
    return list(_CLUSTER.findall(text))


def length(text: str) -> int:
    """Length in UTF-16 units, in which an emoji counts two or more.

    The platforms do not say what they count as a character; this is the largest of the usual counts, so a text
    that fits by it fits by all.
    """
    return len(text) + sum(character > "\uffff" for character in text)
