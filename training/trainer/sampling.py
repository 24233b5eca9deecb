"""The order in which examples are learnt: batches of like length, the same after a crash as without one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

GROUP = 50
"""Batches that are sorted by length together: enough to save the padding, few enough to leave the order random."""


class LengthGrouped:
    """A sampler whose order depends on seed and epoch alone, so that a resumed epoch goes on where it stood.

    The trainer's own draws from torch's global state, which is another one after a restart.
    """

    def __init__(self, lengths: Sequence[int], *, batch: int, seed: int) -> None:
        self._lengths = lengths
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self._seed}:{self._epoch}")  # noqa: S311  (reproducible, not secret)
        order = list(range(len(self._lengths)))
        rng.shuffle(order)
        for start in range(0, len(order), GROUP * self._batch):
            # Longest first: if memory does not do, it shows at once.
            yield from sorted(order[start : start + GROUP * self._batch], key=lambda place: -self._lengths[place])
