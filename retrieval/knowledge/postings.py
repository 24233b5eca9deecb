"""Which term stands in which chunk, how often: what BM25 and the spelling check are computed from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.language.words import stem

Rows = NDArray[np.int32]
ARRAYS = ("starts", "rows", "counts", "lengths")


class Postings:
    """An inverted list over rows 0 to n, one entry for each (term, row)."""

    def __init__(
        self, vocabulary: Mapping[str, int], starts: NDArray[np.int64], rows: Rows, counts: Rows, lengths: Rows
    ):
        self._vocabulary = vocabulary
        self._starts = starts
        self._rows = rows
        self._counts = counts
        self.lengths = lengths
        """Terms of each row, repeats counted; int32 [n]."""

    @classmethod
    def build(cls, rows: Sequence[Sequence[str]]) -> Postings:
        """Index the terms of each row."""
        vocabulary: dict[str, int] = {}
        terms = np.array([vocabulary.setdefault(term, len(vocabulary)) for row in rows for term in row], np.int64)
        lengths = np.array([len(row) for row in rows], np.int32)
        width = max(len(rows), 1)
        keys, counts = np.unique(terms * width + np.repeat(np.arange(len(rows)), lengths), return_counts=True)
        starts = np.searchsorted(keys // width, np.arange(len(vocabulary) + 1)).astype(np.int64)
        return cls(vocabulary, starts, (keys % width).astype(np.int32), counts.astype(np.int32), lengths)

    @classmethod
    def load(cls, folder: Path) -> Postings:
        """Read what `save` wrote."""
        terms: list[str] = json.loads((folder / "terms.json").read_bytes())
        arrays = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS]
        return cls({term: at for at, term in enumerate(terms)}, *arrays)

    def save(self, folder: Path) -> None:
        """Write to a new folder."""
        folder.mkdir()
        (folder / "terms.json").write_text(json.dumps(list(self._vocabulary), ensure_ascii=False), encoding="utf-8")
        arrays: tuple[NDArray[Any], ...] = (self._starts, self._rows, self._counts, self.lengths)
        for name, array in zip(ARRAYS, arrays, strict=True):
            np.save(folder / f"{name}.npy", array, allow_pickle=False)

    def __len__(self) -> int:
        """How many rows it covers."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[str]:
        """All terms."""
        return iter(self._vocabulary)

    @cached_property
    def by_letter(self) -> Mapping[str, Sequence[str]]:
        """Terms by their first letter."""
        return _grouped(self._vocabulary, lambda term: term[0])

    @cached_property
    def by_stem(self) -> Mapping[str, Sequence[str]]:
        """Terms by their stem."""
        return _grouped(self._vocabulary, stem)

    def find(self, term: str) -> tuple[Rows, Rows]:
        """Rows that hold a term, ascending, and how often each does."""
        at = self._vocabulary.get(term)
        if at is None:
            return self._rows[:0], self._counts[:0]
        span = slice(int(self._starts[at]), int(self._starts[at + 1]))
        return self._rows[span], self._counts[span]


def _grouped(terms: Iterable[str], key: Callable[[str], str]) -> Mapping[str, Sequence[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for term in terms:
        groups[key(term)].append(term)
    return dict(groups)
