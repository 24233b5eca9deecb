"""The mark of a text that is to be translated."""

from __future__ import annotations


def _(text: str) -> str:
    """Mark a text for translation where it is made; it is translated where it is shown."""
    return text
