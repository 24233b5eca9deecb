"""Slips of the keyboard in a question, put right with the words of the knowledge base.

Only a word that is in no dictionary (the encoder's vocabulary) and close to exactly the kind of word the pages use is
changed: "retrun", "opend", "acount". Names of products are words of the pages, so they are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from retrieval.knowledge.lexical import Positions
from retrieval.knowledge.postings import Postings
from retrieval.language.words import STOPWORDS, fold, stem, words

MIN_CHARS = 5
TWO_SLIPS_CHARS = 8
"""From this length on, two slips are put right instead of one."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


class Vocabulary:
    """The words of one version, each with how often it stands there; counted for the words that are asked for."""

    def __init__(self, parts: Sequence[tuple[Postings, Positions]]) -> None:
        self._parts = tuple(parts)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        """The words of some texts."""
        rows = [[word for word in words(text) if word.isalpha()] for text in texts]
        return cls([(Postings.build(rows), np.arange(len(rows)))])

    def count(self, word: str) -> int:
        """How often a word stands in the chunks that are searched."""
        total = 0
        for postings, positions in self._parts:
            rows, counts = postings.find(word)
            total += int(counts[positions[rows] >= 0].sum())
        return total

    def has_stem(self, stemmed: str) -> bool:
        """Whether a word with this stem stands in the chunks that are searched."""
        return any(self.count(word) for postings, _ in self._parts for word in postings.by_stem.get(stemmed, ()))

    def beginning(self, letter: str) -> Iterator[str]:
        """Words that begin with a letter and are long enough to be meant, searched or not."""
        seen: set[str] = set()
        for postings, _ in self._parts:
            for word in postings.by_letter.get(letter, ()):
                if len(word) >= MIN_CHARS - 1 and word not in seen:
                    seen.add(word)
                    yield word


class Spelling:
    """Corrections with the words of one version."""

    def __init__(self, vocabulary: Vocabulary, is_word: Callable[[str], bool]) -> None:
        self._vocabulary = vocabulary
        self._is_word = is_word
        self._nearest = lru_cache(maxsize=4096)(self._find)

    def correct(self, text: str) -> str:
        """The text with its slips put right; everything else as written."""
        return _WORD.sub(lambda match: self._corrected(match[0]), text)

    def _corrected(self, written: str) -> str:
        word = fold(written)
        if len(word) < MIN_CHARS or not word.isalpha() or word in STOPWORDS or self._is_word(word):
            return written
        return self._nearest(word) or written

    def _find(self, word: str) -> str | None:
        if self._vocabulary.has_stem(stem(word)):
            return None
        slips = 2 if len(word) >= TWO_SLIPS_CHARS else 1
        close = []
        for known in self._vocabulary.beginning(word[0]):
            if abs(len(known) - len(word)) <= slips:
                distance = _distance(word, known)
                if distance <= slips and (count := self._vocabulary.count(known)):
                    close.append((distance, -count, known))
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
