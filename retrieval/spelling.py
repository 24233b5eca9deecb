"""Slips of the keyboard in a question, put right with the words of the knowledge base.

Only a word that is in no dictionary (the encoder's vocabulary) and close to exactly the kind of word the pages use is
changed: "retrun", "opend", "acount". Names of products are words of the pages, so they are never touched.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache

from retrieval.words import STOPWORDS, fold, stem, words

MIN_CHARS = 5
TWO_SLIPS_CHARS = 8
"""From this length on, two slips are put right instead of one."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


class Spelling:
    """The words of one knowledge base."""

    def __init__(self, texts: Iterable[str], is_word: Callable[[str], bool]) -> None:
        self._counts = Counter(word for text in texts for word in words(text) if word.isalpha())
        self._stems = {stem(word) for word in self._counts}
        self._is_word = is_word
        self._by_letter: defaultdict[str, list[str]] = defaultdict(list)
        for word in self._counts:
            if len(word) >= MIN_CHARS - 1:
                self._by_letter[word[0]].append(word)
        self._nearest = lru_cache(maxsize=4096)(self._find)

    def correct(self, text: str) -> str:
        """The text with its slips put right; everything else as written."""
        return _WORD.sub(lambda match: self._corrected(match[0]), text)

    def _corrected(self, written: str) -> str:
        word = fold(written)
        if len(word) < MIN_CHARS or not word.isalpha() or word in STOPWORDS or stem(word) in self._stems:
            return written
        return self._nearest(word) or written

    def _find(self, word: str) -> str | None:
        if self._is_word(word):
            return None
        slips = 2 if len(word) >= TWO_SLIPS_CHARS else 1
        close = []
        for known in self._by_letter[word[0]]:
            if abs(len(known) - len(word)) <= slips:
                distance = _distance(word, known)
                if distance <= slips:
                    close.append((distance, -self._counts[known], known))
        return min(close)[2] if close else None


def _distance(one: str, other: str) -> int:
    """Edits between two words; two swapped neighbours are one edit (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        older, before, row = before, row, [at]
        for to, target in enumerate(other, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != target))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == target:
                cost = min(cost, older[to - 2] + 1)
            row.append(cost)
    return row[-1]
