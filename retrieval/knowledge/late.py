"""Token vectors for late interaction: how well each content token of a query is met by the tokens of a passage.

Source: Khattab, Zaharia, "ColBERT", arXiv 2004.12832: the sum over query tokens of the best cosine to a passage token;
here a mean, so that long and short queries compare. The token vectors come from the same pass of the same encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Stored = NDArray[np.float16]


class TokenIndex:
    """Token vectors of all chunks, half precision, read from disk as they are needed."""

    def __init__(self, tokens: Stored, ends: NDArray[np.int64]) -> None:
        self._tokens = tokens
        self._ends = ends

    @classmethod
    def build(cls, tokens: Sequence[NDArray[np.floating]], dim: int) -> TokenIndex:
        """Index the token vectors of each chunk, [tokens, dim] each, at least one row."""
        rows = np.concatenate([np.zeros((0, dim), np.float16), *tokens]).astype(np.float16)
        return cls(rows, np.cumsum([len(one) for one in tokens], dtype=np.int64))

    @classmethod
    def load(cls, folder: Path, dim: int) -> TokenIndex:
        """Read what `write` wrote."""
        ends: NDArray[np.int64] = np.load(folder / "ends.npy", allow_pickle=False)
        if not len(ends):
            return cls.build([], dim)
        return cls(np.memmap(folder / "tokens.f16", np.float16, "r").reshape(-1, dim), ends)

    @staticmethod
    def write(folder: Path, tokens: Iterable[Stored]) -> None:
        """Write the token vectors of each chunk to a new folder as they come: all at once may not fit in memory."""
        folder.mkdir()
        lengths: list[int] = []
        with (folder / "tokens.f16").open("wb") as file:
            for one in tokens:
                file.write(np.ascontiguousarray(one).data)
                lengths.append(len(one))
        np.save(folder / "ends.npy", np.cumsum(lengths, dtype=np.int64), allow_pickle=False)

    def __len__(self) -> int:
        """How many chunks it holds."""
        return len(self._ends)

    def tokens(self, chunk: int) -> Stored:
        """The token vectors of one chunk, float16 [tokens, dim]."""
        start = int(self._ends[chunk - 1]) if chunk else 0
        return self._tokens[start : int(self._ends[chunk])]
