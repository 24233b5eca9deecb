"""Token vectors for late interaction: how well each content token of a query is met by the tokens of a passage.

Source: Khattab, Zaharia, "ColBERT", arXiv 2004.12832: the sum over query tokens of the best cosine to a passage token;
here a mean, so that long and short queries compare. The token vectors come from the same pass of the same encoder.

They are kept as whole numbers of -127 to 127, scaled chunk by chunk: a cosine is off by less than 0.003, the files are
half as long as in half precision, and NumPy widens them 40 times as fast, which was most of a search's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors

Packed = NDArray[np.int8]
HIGHEST = 127


class TokenIndex:
    """Token vectors of all chunks, read from disk as they are needed."""

    def __init__(self, tokens: Packed, ends: NDArray[np.int64], scales: Vectors) -> None:
        self._tokens = tokens
        self._ends = ends
        self._scales = scales

    @classmethod
    def build(cls, tokens: Sequence[Vectors], dim: int) -> TokenIndex:
        """Index the token vectors of each chunk, [tokens, dim] each, at least one row."""
        packed = [_pack(one) for one in tokens]
        rows = np.concatenate([np.zeros((0, dim), np.int8), *(one for one, _ in packed)])
        return cls(rows, _ends([len(one) for one in tokens]), np.array([scale for _, scale in packed], np.float32))

    @classmethod
    def load(cls, folder: Path, dim: int) -> TokenIndex:
        """Read what `write` wrote."""
        ends, scales = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("ends", "scales"))
        if not len(ends):
            return cls.build([], dim)
        # A plain view: each slice of a memmap is an object that takes longer to make than to read.
        rows = np.asarray(np.memmap(folder / "tokens.i8", np.int8, "r")).reshape(-1, dim)
        return cls(rows, ends, scales)

    @staticmethod
    def write(folder: Path, tokens: Iterable[Vectors]) -> None:
        """Write the token vectors of each chunk to a new folder as they come: all at once may not fit in memory."""
        folder.mkdir()
        lengths, scales = [], []
        with (folder / "tokens.i8").open("wb") as file:
            for one in tokens:
                packed, scale = _pack(one)
                file.write(packed.data)
                lengths.append(len(packed))
                scales.append(scale)
        np.save(folder / "ends.npy", _ends(lengths), allow_pickle=False)
        np.save(folder / "scales.npy", np.array(scales, np.float32), allow_pickle=False)

    def __len__(self) -> int:
        """How many chunks it holds."""
        return len(self._ends)

    def tokens(self, chunk: int) -> Vectors:
        """The token vectors of one chunk, float32 [tokens, dim]."""
        vectors: Vectors = self._packed(chunk) * self._scales[chunk]
        return vectors

    def best(self, query: Vectors, chunk: int) -> Vectors:
        """The best cosine in one chunk to each token of the query, float32 [tokens of the query].

        Chunk by chunk, because a chunk's rows stay in the processor's cache.
        """
        best: Vectors = (query @ self._packed(chunk).astype(np.float32).T).max(axis=1) * self._scales[chunk]
        return best

    def _packed(self, chunk: int) -> Packed:
        start = int(self._ends[chunk - 1]) if chunk else 0
        return self._tokens[start : int(self._ends[chunk])]


def _pack(vectors: Vectors) -> tuple[Packed, float]:
    """Whole numbers and what to multiply them with; packing what was unpacked gives the same."""
    scale = float(np.abs(vectors).max(initial=0.0)) / HIGHEST or 1.0
    return np.rint(vectors / scale).astype(np.int8), scale


def _ends(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum(lengths, dtype=np.int64)
