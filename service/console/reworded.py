"""What the rooms below the console say in English, with values in it, told in the reader's language.

Those rooms know nothing of languages: their sentences are named here as they come out, `%(name)s` where a value stands,
and are recognised by that. What nobody named stays English; a test names each that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain

from service.console import refusal_words, training_words, voice_words

CLOSED = {
    "measure": tuple(training_words.MEASURES.values()),
    "mark": training_words.MARKS,
    "verdict": training_words.VERDICTS,
}
"""Values that are one of a few words: a sentence with another one there is another sentence."""
OURS = frozenset({"state", "was", "wanted", "current", *CLOSED})
"""Values that may be words of ours; whatever else stands in a sentence was written by somebody."""
JOINED = {"clauses": "; ", "marks": ", ", "kinds": ", ", "manners": ", "}
"""Values that are sentences themselves, and what stands between two of them."""
COMPOSED = ("%(measure)s: %(clauses)s", "%(verdict)s: %(clauses)s")
"""Sentences made of others, which are taken apart before anything else is looked for in them."""
_BLANK = re.compile(r"%\((\w+)\)s")


def reworded(text: str, translate: Callable[[str], str]) -> str:
    """A sentence in another language where it is known, else as it is.

    Args:
        text: In English, its values filled in.
        translate: The catalogue's `gettext`.
    """
    # Of an empty text a catalogue gives its own head.
    whole = translate(text) if text else text
    if whole != text:
        return whole
    for pattern, template in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return translate(template) % {name: _value(name, one, translate) for name, one in found.groupdict().items()}
    return text


def _value(name: str, value: str, translate: Callable[[str], str]) -> str:
    if between := JOINED.get(name):
        return between.join(reworded(one, translate) for one in value.split(between))
    return translate(value) if name in OURS else value


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    # Those with the most words of their own first: a short one with blanks takes what is meant for a longer one.
    ordered = sorted(_simple(), key=lambda one: -len(_BLANK.sub("", one)))
    return tuple((_pattern(one), one) for one in (*COMPOSED, *ordered))


def _simple() -> Iterable[str]:
    return chain(refusal_words.REFUSALS, voice_words.REASONS, training_words.REASONS, training_words.STAGES)


def _pattern(template: str) -> re.Pattern[str]:
    parts = _BLANK.split(template)
    # Text and names of blanks by turns.
    return re.compile("".join(_blank(part) if at % 2 else re.escape(part) for at, part in enumerate(parts)), re.S)


def _blank(name: str) -> str:
    return f"(?P<{name}>{'|'.join(map(re.escape, CLOSED[name])) if name in CLOSED else '.+?'})"
