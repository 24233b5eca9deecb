"""What the rooms below the console say in English, with values in it, told in the reader's language.

Those rooms know nothing of languages: their sentences are named here as they come out, `%(name)s` where a value stands,
and are recognised by that. What nobody named stays English; a test names each that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain

from service.console import refusal_words, voice_words

OURS = frozenset({"state", "was", "wanted"})
"""Values that are words of ours; whatever else stands in a sentence was written by somebody."""
_BLANK = re.compile(r"%\((\w+)\)s")


def reworded(text: str, translate: Callable[[str], str]) -> str:
    """A sentence in another language where it is known, else as it is.

    Args:
        text: In English, its values filled in.
        translate: The catalogue's `gettext`.
    """
    whole = translate(text)
    if whole != text:
        return whole
    for pattern, template in _patterns():
        found = pattern.fullmatch(text)
        if found:
            values = {name: translate(value) if name in OURS else value for name, value in found.groupdict().items()}
            return translate(template) % values
    return text


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    # Those with the most words of their own first: a short one with blanks takes what is meant for a longer one.
    ordered = sorted(_all(), key=lambda one: -len(_BLANK.sub("", one)))
    return tuple((_pattern(one), one) for one in ordered)


def _all() -> Iterable[str]:
    return chain(refusal_words.REFUSALS, voice_words.REASONS)


def _pattern(template: str) -> re.Pattern[str]:
    parts = _BLANK.split(template)
    # Text and names of blanks by turns.
    return re.compile("".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)), re.S)
