"""A text as numbers for the scorer: character n-grams, function words, marks; the subject is hidden first."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.voice.marks import Marks
from training.voice.masking import EMOJI, FUNCTION_WORDS, MASK, hide

Values = NDArray[np.float64]
BUCKETS = 4096
GRAMS = range(2, 6)
"""Lengths of the character n-grams; none reaches over more than two words."""
CLOSED = tuple(sorted(FUNCTION_WORDS))
MARKS = (
    "contractions",
    "exclamations",
    "questions",
    "emoji",
    "list items",
    "I",
    "we",
    "you",
    "greets",
)
WIDTH = BUCKETS + len(CLOSED) + len(MARKS)
_TOKEN = re.compile(rf"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d[\d.,:]*|[!?…]+|[,;:()\u2013\u2014]|{EMOJI}")


def tokens_of(text: str, hidden: Collection[str]) -> list[str]:
    """What the scorer reads: words, punctuation and marks of tone in lower case, the subject as `_`."""
    return hide((token.lower().replace("\u2019", "'") for token in _TOKEN.findall(text)), hidden)


def features(tokens: list[str], marks: Marks) -> Values:
    """[WIDTH] values: n-grams and function words each of length 1 (the square root of counts), then the marks."""
    row = np.zeros(WIDTH)
    for bucket, value in unit(grams(tokens)).items():
        row[bucket] += value
    counts = Counter(token for token in tokens if token in FUNCTION_WORDS)
    length = math.sqrt(sum(counts.values())) or 1.0
    row[BUCKETS : BUCKETS + len(CLOSED)] = [math.sqrt(counts[word]) / length for word in CLOSED]
    row[-len(MARKS) :] = mark_values(marks)
    return row


def grams(tokens: list[str]) -> Counter[int]:
    """Buckets of the n-grams of each word with blanks around it, and of each pair of neighbours.

    A pair stands as one gram of its own, so that "permit us" counts beside its letters.
    """
    found: Counter[int] = Counter()
    for token in tokens:
        for gram in _letters(token):
            found[_bucket(gram)] += 1
    for first, second in pairwise(tokens):
        found[_bucket(f"{first} {second}")] += 1
    return found


def word_grams(token: str) -> Counter[int]:
    """Buckets of the n-grams of one word: what its letters add."""
    return Counter(_bucket(gram) for gram in _letters(token))


def unit(counts: Mapping[int, int]) -> dict[int, float]:
    """Square roots of counts, as a vector of length 1."""
    length = math.sqrt(sum(counts.values())) or 1.0
    return {bucket: math.sqrt(count) / length for bucket, count in counts.items()}


def mark_values(marks: Marks) -> list[float]:
    """The marks of a text a sentence; its lengths are the profile's, because too long and too short are both wrong."""
    sentences = max(1, marks.sentences)
    return [
        *(math.sqrt(count / sentences) for count in (marks.contractions, marks.exclamations, marks.questions)),
        *(math.sqrt(count / sentences) for count in (marks.emoji, marks.list_items, marks.i, marks.we, marks.you)),
        float(marks.greets),
    ]


def _letters(token: str) -> list[str]:
    if token == MASK:
        return [MASK]
    padded = f" {token} "
    return [padded[at : at + size] for size in GRAMS for at in range(len(padded) - size + 1)]


def _bucket(gram: str) -> int:
    return zlib.crc32(gram.encode()) % BUCKETS
