"""Text to sentences, whole or as it streams in.

A full stop ends a sentence only when a blank and the next word have been seen, so `$6.50`, `9 a.m. to 5 p.m.` and
`e.g. Canada` stay whole; that costs no waiting, because a model's tokens carry the blank in front of the word.
"""

from __future__ import annotations

import re
import unicodedata

_CLOSERS = "\"'”’»)]*_"
_ENDERS = ".!?…。！？"
_NEVER_END = re.compile(
    r"(?:^|[\s(\"'“])(?:e\.g|i\.e|mr|mrs|ms|dr|prof|st|vs|cf|approx|incl|excl|etc|no|nr|tel|ext|fig|min|max|jr|sr|"
    r"inc|ltd|co)$",
    re.IGNORECASE,
)
_ENDS_BEFORE_CAPITAL = frozenset({"etc", "no", "inc", "ltd", "co", "min", "max", "ext"})
_HOUR = re.compile(r"(?:^|[\s\d(])[ap]\.m$", re.IGNORECASE)
_INITIAL = re.compile(r"(?:^|\s)[A-Z]$")
_LIST_NUMBER = re.compile(r"^\s*\d{1,3}$")


class SentenceStream:
    """Collects pieces of text and gives back each sentence as soon as it is complete."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, piece: str) -> list[str]:
        """Add a piece; the sentences that it completed, in order, without outer blanks."""
        self._text += piece
        found = []
        while (end := _end_of_first(self._text)) is not None:
            sentence, self._text = self._text[:end].strip(), self._text[end:]
            if sentence:
                found.append(sentence)
        return found

    def flush(self) -> list[str]:
        """What is left when the text has ended: one sentence, or none."""
        rest, self._text = self._text.strip(), ""
        return [rest] if rest else []


def split_sentences(text: str) -> list[str]:
    """All sentences of a text, in order; a line of its own is a sentence of its own."""
    stream = SentenceStream()
    return [*stream.feed(text), *stream.flush()]


def _end_of_first(text: str) -> int | None:
    """Offset after the first complete sentence; None where more text could still belong to it."""
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "\n":
            return at + 1
        if letter not in _ENDERS:
            at += 1
            continue
        end = at + 1
        while end < len(text) and (text[end] in _ENDERS or text[end] in _CLOSERS):
            end += 1
        end = _past_emoji(text, end)
        if end >= len(text):
            return None
        if text[end] == "\n":
            return end + 1
        if not text[end].isspace() and not _is_symbol(text[end - 1]):
            at = end
            continue
        follows = _next_visible(text, end)
        if follows is None:
            return None
        if _ends(text[:at], letter, text[follows]):
            return end
        at = end
    return None


def _past_emoji(text: str, end: int) -> int:
    """Offset after pictures that belong to the sentence before them."""
    reach = end
    while reach < len(text) and (text[reach] in " \t" or _is_symbol(text[reach])):
        if _is_symbol(text[reach]):
            end = reach + 1
        reach += 1
    # Undecided as long as only blanks follow: the next piece may be a picture.
    return len(text) if reach >= len(text) else end


def _next_visible(text: str, start: int) -> int | None:
    for at in range(start, len(text)):
        if text[at] == "\n" or not text[at].isspace():
            return at
    return None


def _ends(before: str, mark: str, follows: str) -> bool:
    if mark in "!?。！？":
        return not follows.islower()
    if follows.islower():
        return False
    if match := _NEVER_END.search(before):
        word = match[0].strip("( \"'“").lower()
        return word in _ENDS_BEFORE_CAPITAL and not follows.isdigit()
    if _HOUR.search(before):
        return True
    return not (_INITIAL.search(before) or _LIST_NUMBER.match(before.rsplit("\n", 1)[-1]))


def _is_symbol(letter: str) -> bool:
    """Whether a character is (part of) an emoji or another picture."""
    return unicodedata.category(letter) in ("So", "Sk") or letter in "\u200d\ufe0f\u20e3"
