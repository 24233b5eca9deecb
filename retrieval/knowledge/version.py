"""One version of the knowledge in memory, as one kind of reader may find it.

Positions count the searched chunks of the whole version, in the order of their documents' names, however these are
spread over segments: results are those of a base that was built in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors
from retrieval.knowledge.lexical import LexicalIndex, Positions
from retrieval.knowledge.segment import Segment
from retrieval.knowledge.spelling import Vocabulary
from retrieval.metadata import PLAIN, Audience, Metadata
from retrieval.passages import Chunk, Noted


class Entry(NamedTuple):
    """Where a version holds one document; a tuple, because a base has thousands and every change reads them."""

    id: str
    title: str
    sha256: str
    chars: int
    segment: str
    first: int
    """Row of its first chunk in the segment."""
    rows: int
    """How many chunks it has; they stand together."""
    metadata: Metadata
    origin: str = ""
    """The file or folder it was added from, on the machine that added it."""
    digest: str = ""
    """Names the file it was read from (`retrieval.documents.loading`); empty where it came from none."""
    changed: str = ""
    """When it came, or last said something else: ISO 8601, UTC; empty where an older brandvoice wrote it."""
    by: str = ""
    """Who changed it; empty where it was the command line."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it lies on disk: its documents, and the segments that hold them."""

    name: str
    folder: Path
    """The brand's folder."""
    dim: int
    entries: tuple[Entry, ...]
    """By name."""
    segments: Mapping[str, Segment]

    def dated(self) -> bool:
        """Whether what may be found depends on the day."""
        return any(
            one.metadata.valid_from or one.metadata.valid_until for one in self.entries if one.metadata is not PLAIN
        )

    def visible(self, *, audience: Audience, language: str | None, today: date) -> Version:
        """What a reader may find on a day."""
        return Version(
            self,
            [
                one
                for one in self.entries
                if one.metadata is PLAIN or one.metadata.visible(audience=audience, language=language, today=today)
            ],
        )


def places(entries: Sequence[Entry], segments: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each chunk of some documents, in their order: number of its segment, and its row there."""
    numbers = {name: at for at, name in enumerate(segments)}
    table = np.array([(numbers[one.segment], one.first, one.rows) for one in entries], np.int64).reshape(-1, 3)
    owners, firsts, lengths = table.T
    # Counted up from the document's first row.
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(owners, lengths), np.repeat(firsts, lengths) + within


class Version:
    """What one kind of reader may find of a version: nothing else is searched, counted or corrected with."""

    def __init__(self, stored: StoredVersion, entries: Sequence[Entry]) -> None:
        self.name = stored.name
        self.dim = stored.dim
        segments = tuple(stored.segments.values())
        owners, rows = places(entries, list(stored.segments))
        same = np.zeros(len(rows), np.uint64)
        for number, segment in enumerate(segments):
            held = owners == number
            same[held] = segment.same[rows[held]]
        _, kept, group = np.unique(same, return_index=True, return_inverse=True)
        self.duplicates = len(rows) - len(kept)
        """Chunks that are not searched because another says the same."""
        searched = np.sort(kept)
        self._owners, self._rows = owners[searched], rows[searched]
        self.documents = np.repeat(np.arange(len(entries)), [one.rows for one in entries])[searched]
        """Number of the document that each chunk is of, rising; int64 [n]."""
        self.chunks_per_document = len(rows) / max(1, len(entries))
        self._folded = (owners, rows, kept[group])
        self._segments = segments
        self._positions = tuple(self._positions_in(number) for number in range(len(segments)))
        self.index = VectorIndex(self)
        self.contexts = Contexts(self)
        self.tokens = Tokens(self)
        self.chunks = Chunks(self)
        self.lexical = LexicalIndex(
            [(one.stems, positions) for one, positions in zip(segments, self._positions, strict=True)], self.documents
        )
        self.vocabulary = Vocabulary(
            [(one.words, positions) for one, positions in zip(segments, self._positions, strict=True)]
        )

    def __len__(self) -> int:
        """How many chunks are searched."""
        return len(self._rows)

    def aliases(self) -> dict[str, str]:
        """Ids of the chunks that are not searched, each with the chunk that stands for it."""
        owners, rows, kept = self._folded

        def name(at: int) -> str:
            segment = self._segments[int(owners[at])]
            return segment.chunks[int(rows[at])].id

        return {name(at): name(int(kept[at])) for at in np.flatnonzero(kept != np.arange(len(kept)))}

    def parts(self) -> Iterator[tuple[Segment, Positions]]:
        """The segments, each with the position of every row."""
        return zip(self._segments, self._positions, strict=True)

    def at(self, position: int) -> tuple[Segment, int]:
        """The segment and row of a position."""
        return self._segments[self._owners[position]], int(self._rows[position])

    def noted(self, position: int) -> Noted | None:
        """What a judge noted of a chunk when it was taken in; None where none looked at its segment."""
        segment, row = self.at(position)
        return segment.notes.at(row) if segment.notes else None

    def gather(self, positions: NDArray[np.int64], read: Callable[[Segment, NDArray[np.int64]], Vectors]) -> Vectors:
        """Rows of several segments in one array, float32 [len(positions), dim], in the order of the positions."""
        found: Vectors = np.zeros((len(positions), self.dim), np.float32)
        owners, rows = self._owners[positions], self._rows[positions]
        for number in np.unique(owners):
            held = owners == number
            found[held] = read(self._segments[number], rows[held])
        return found

    def _positions_in(self, number: int) -> Positions:
        held = np.flatnonzero(self._owners == number)
        positions = np.full(len(self._segments[number].chunks), -1, np.int64)
        positions[self._rows[held]] = held
        return positions


class VectorIndex:
    """The vectors of a version; the interface of `retrieval.knowledge.index.FaissIndex`."""

    def __init__(self, version: Version) -> None:
        self._version = version
        # A segment of which every chunk is searched needs no filter.
        self._parts: list[tuple[Segment, Positions, NDArray[np.bool_] | None]] = []
        for segment, positions in version.parts():
            among = positions >= 0
            if among.any():
                self._parts.append((segment, positions, None if among.all() else among))

    def __len__(self) -> int:
        """How many vectors are searched."""
        return len(self._version)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._version.dim

    def vectors(self) -> Vectors:
        """All vectors, float32 [n, dim], by position."""
        return self._version.gather(np.arange(len(self)), _vectors)

    def search(self, vector: Vectors, top_n: int) -> tuple[NDArray[np.int64], Vectors]:
        """The nearest chunks: positions and cosines, best first."""
        found = [(positions, segment.index.search(vector, top_n, among)) for segment, positions, among in self._parts]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        where = np.concatenate([positions[rows] for positions, (rows, _) in found])
        cosines = np.concatenate([scores for _, (_, scores) in found])
        best = np.lexsort((where, -cosines))[:top_n]
        return where[best], cosines[best]

    def cosines(self, vector: Vectors, positions: NDArray[np.int64]) -> Vectors:
        """Cosines of the chunks at `positions`, float32 [len(positions)]."""
        found: Vectors = self._version.gather(positions, _vectors) @ vector
        return found


class Contexts:
    """What a chunk is about by the company it keeps: the mean of the vectors of its document's chunks.

    A short chunk ("Setup steps") says nothing of the product that its page is about. Computed when first asked for,
    since most documents never are.
    """

    def __init__(self, version: Version) -> None:
        self._version = version
        count = int(version.documents[-1]) + 1 if len(version) else 0
        self._vectors: Vectors = np.zeros((count, version.dim), np.float32)
        self._known = np.zeros(count, np.bool_)

    def cosines(self, vector: Vectors, positions: NDArray[np.int64]) -> Vectors:
        """Cosines of the documents of the chunks at `positions`, float32 [len(positions)]."""
        documents = self._version.documents[positions]
        for one in np.unique(documents[~self._known[documents]]):
            first, end = np.searchsorted(self._version.documents, [one, one + 1])
            mean = self._version.gather(np.arange(first, end), _vectors).mean(axis=0)
            self._vectors[one] = mean / max(float(np.linalg.norm(mean)), 1e-9)
            # Last, so that a search beside this one never takes a vector that is not there yet.
            self._known[one] = True
        found: Vectors = self._vectors[documents] @ vector
        return found


class Tokens:
    """The token vectors of a version; the interface of `retrieval.knowledge.late.TokenIndex`."""

    def __init__(self, version: Version) -> None:
        self._version = version

    def __len__(self) -> int:
        """How many chunks have some."""
        return len(self._version)

    def tokens(self, position: int) -> Vectors:
        """The token vectors of one chunk, float32 [tokens, dim]."""
        segment, row = self._version.at(position)
        return segment.tokens.tokens(row)

    def best(self, query: Vectors, positions: NDArray[np.int64]) -> Vectors:
        """The best cosine in each chunk to each token of the query, float32 [len(positions), tokens of the query]."""
        best: Vectors = np.zeros((len(positions), len(query)), np.float32)
        for place, position in enumerate(positions.tolist()):
            segment, row = self._version.at(position)
            best[place] = segment.tokens.best(query, row)
        return best


class Chunks(Sequence[Chunk]):
    """The searched chunks of a version, by position."""

    def __init__(self, version: Version) -> None:
        self._version = version

    def __len__(self) -> int:
        """How many there are."""
        return len(self._version)

    @overload
    def __getitem__(self, at: int) -> Chunk: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Chunk]: ...
    def __getitem__(self, at: Any) -> Any:
        """The chunk at a position, or several."""
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        segment, row = self._version.at(at)
        return segment.chunks[row]


def _vectors(segment: Segment, rows: NDArray[np.int64]) -> Vectors:
    return segment.index.rows(rows)
