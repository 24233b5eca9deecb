"""Token buckets by name, in bounded memory: for who may write to us, and for how fast we call platforms.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371), so
that one that is full need not be kept at all.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST_BUCKETS = 20_000
"""That are not full; about 3 MB. Beyond it the one that is longest unused is forgotten, and so full again."""


class Buckets:
    """A bucket for each name, all of one size."""

    def __init__(
        self, every_s: float, burst: float, *, most: int = MOST_BUCKETS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make full ones.

        Args:
            every_s: Seconds until a token comes back; 0 sets no limit.
            burst: Tokens in a full one.
            most: Buckets that are kept.
            clock: Seconds that never go back.
        """
        self._every_s = every_s
        self._slack_s = (burst - 1) * every_s
        self._most = most
        self._clock = clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._full_at)

    def wait_s(self, name: Hashable) -> float:
        """Seconds until this bucket has a token; 0 where it has one."""
        at = self._clock()
        return max(0.0, self._full_at.get(name, at) - at - self._slack_s)

    def take(self, name: Hashable) -> None:
        """Take a token that is there."""
        at = self._clock()
        self._keep(name, max(self._full_at.get(name, at), at) + self._every_s, at)

    def empty(self, name: Hashable, for_s: float) -> None:
        """Let this bucket have no token for so many seconds."""
        at = self._clock()
        self._keep(name, at + for_s + self._slack_s, at)

    def _keep(self, name: Hashable, full_at: float, at: float) -> None:
        if full_at <= at:
            return
        self._full_at.pop(name, None)
        self._full_at[name] = full_at
        while self._full_at and (len(self._full_at) > self._most or next(iter(self._full_at.values())) <= at):
            self._full_at.popitem(last=False)
