"""Search by meaning: inner products over unit vectors, by FAISS; exact for all but large indexes.

Source: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
World graphs", arXiv 1603.09320.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors

EXACT_UP_TO = 20_000
"""Vectors that are compared one by one; more are searched through a graph."""
LINKS = 32
"""Of each vector in the graph, in each direction."""
BUILD_WIDTH = 200
"""Candidates looked at when a vector is linked (`efConstruction`)."""
SEARCH_WIDTH = 128
"""Candidates looked at in a search (`efSearch`).

Of 100,000 vectors of public texts, for 200 questions each of MTRAG, doc2dial and SQuAD 2, on one thread: .9905, .9995
and .9960 of the ten nearest found in 0.5, 0.15 and 0.36 ms; one by one takes 6.5 ms. Inverted lists (1024, of which 64
are read) found .979 in 0.54 ms."""


class FaissIndex:
    """A flat index, or above `EXACT_UP_TO` vectors a graph over one (HNSW)."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index
        self._graph = index if isinstance(index, faiss.IndexHNSW) else None

    @classmethod
    def build(cls, vectors: Vectors, *, exact_up_to: int = EXACT_UP_TO) -> FaissIndex:
        """Index unit vectors, float32 [n, dim]; n may be 0."""
        if len(vectors) > exact_up_to:
            index: faiss.Index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = BUILD_WIDTH  # type: ignore[attr-defined]
        else:
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
        selected: dict[str, object] = {}
        if among is not None:
            # The selector only points at the bits: they must live as long as it does.
            bits = np.packbits(among, bitorder="little")
            # Its type stubs are those of C++, where a bitmap has a length of its own.
            selected["sel"] = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
        index, parameters = self._index, faiss.SearchParameters
        if self._graph and among is not None and among.sum() <= EXACT_UP_TO:
            # Paths through a graph end where most of it may not be found; few are compared one by one.
            index = self._graph.storage
        elif self._graph:
            parameters = faiss.SearchParametersHNSW  # type: ignore[attr-defined]
            selected["efSearch"] = max(SEARCH_WIDTH, top_n)
        chosen = parameters(**selected)
        scores, positions = index.search(vector[None, :], min(top_n, len(self)), params=chosen)
        found = positions[0] >= 0
        return positions[0][found], scores[0][found]

    def rows(self, positions: NDArray[np.int64]) -> Vectors:
        """The vectors of the chunks at `positions`, float32 [len(positions), dim]."""
        if not len(positions):
            return np.zeros((0, self.dim), np.float32)
        rows: Vectors = self._index.reconstruct_batch(positions)
        return rows
