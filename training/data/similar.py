"""Texts that are nearly the same, found with MinHash and verified by their shingles.

Source: Broder, On the resemblance and containment of documents, SEQUENCES 1997; by the library datasketch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from retrieval.language.words import words

NEAR = 0.7
"""Jaccard resemblance of shingles from which on two texts are near: a word or two of fifteen differ."""
_LETTERS = 4
"""Of a shingle: short enough for a question of five words, long enough to tell topics apart."""
_PERMUTATIONS = 64
_MOST_CHARS = 4000
"""Of a text that are looked at."""
_DIGIT = re.compile(r"\d+")


def plain(text: str) -> str:
    """Words and numbers in lower case, single blanks between them: what must be equal for an exact duplicate."""
    return " ".join(words(text))


def without_figures(text: str) -> str:
    """The text with all figures alike, so that two that differ in a number are near all the same."""
    return _DIGIT.sub("0", text)


def resemblance(one: str, other: str) -> float:
    """Jaccard index of the shingles of two texts, 0 to 1; 0 where their figures differ: they speak of other things."""
    mine, theirs = _shingles(one), _shingles(other)
    return len(mine & theirs) / len(mine | theirs)


def groups(texts: Sequence[str], *, threshold: float = NEAR) -> list[int]:
    """Group texts that are near each other, directly or over others.

    Args:
        texts: In any order.
        threshold: Lowest resemblance.

    Returns:
        For each text the position of the first text of its group.
    """
    from datasketch import MinHash, MinHashLSH

    first: dict[str, int] = {}
    parents = [first.setdefault(plain(text[:_MOST_CHARS]), place) for place, text in enumerate(texts)]
    # A lower line finds more candidates; each is verified.
    index = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=_PERMUTATIONS)
    permutations = MinHash(num_perm=_PERMUTATIONS, seed=1).permutations
    for form, place in first.items():
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1, permutations=permutations, scheme="affine32")
        sketch.update_batch([one.encode() for one in sorted(_shingles(form))])
        for other in sorted(index.query(sketch)):
            if root(parents, place) != root(parents, other) and resemblance(form, texts[other]) >= threshold:
                join(parents, place, other)
        index.insert(place, sketch)
    return [root(parents, place) for place in range(len(texts))]


def join(parents: list[int], one: int, other: int) -> None:
    """Make one group of two."""
    mine, theirs = root(parents, one), root(parents, other)
    parents[max(mine, theirs)] = min(mine, theirs)


def root(parents: list[int], place: int) -> int:
    """The first member of a group."""
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place


@lru_cache(maxsize=20_000)
def _shingles(text: str) -> frozenset[str]:
    """Runs of letters, each behind all figures of the text: texts with other figures share none."""
    form = plain(text[:_MOST_CHARS])
    figures = " ".join(sorted({word for word in form.split() if _DIGIT.search(word)}))
    return frozenset(f"{figures}|{form[at : at + _LETTERS]}" for at in range(max(1, len(form) - _LETTERS + 1)))
