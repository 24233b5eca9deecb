"""Texts that are nearly the same, found with MinHash and verified by their shingles.

Source: Broder, On the resemblance and containment of documents, SEQUENCES 1997; by the library datasketch.
"""

from __future__ import annotations

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
_DIGITS = str.maketrans("123456789", "000000000")


def plain(text: str) -> str:
    """Words and numbers in lower case, single blanks between them: what must be equal for an exact duplicate."""
    return " ".join(words(text))


def resemblance(one: str, other: str) -> float:
    """Jaccard index of the shingles of two texts, figures looking alike; 0 to 1."""
    mine, theirs = _shingles(one), _shingles(other)
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else float(one == other)


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
    parents = [first.setdefault(_form(text), place) for place, text in enumerate(texts)]
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


def _form(text: str) -> str:
    return plain(text[:_MOST_CHARS]).translate(_DIGITS)


@lru_cache(maxsize=20_000)
def _shingles(text: str) -> frozenset[str]:
    form = _form(text)
    return frozenset(form[at : at + _LETTERS] for at in range(max(1, len(form) - _LETTERS + 1)))
