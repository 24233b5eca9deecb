"""How many messages a visitor, an account and everybody may send: token buckets, in bounded memory.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm), so that one that is
full need not be kept at all.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from configs.service import Limits
from service.errors import SlowDown

Of = Literal["visitor", "account", "everybody"]

MOST_BUCKETS = 20_000
"""Of one kind that are not full; about 3 MB. Beyond it the one that is longest unused is forgotten, and so full again:
whoever has that many names is held back by the buckets of the account and of everybody."""
BURST_S = 30.0
"""As many messages as this many seconds allow may come at once."""


class Buckets:
    """A bucket for each name."""

    def __init__(self, per_minute: float, *, most: int = MOST_BUCKETS, clock: Callable[[], float] = time.monotonic):
        """Make full ones.

        Args:
            per_minute: Messages; 0 sets no limit.
            most: Buckets that are kept.
            clock: Seconds that never go back.
        """
        self._every_s = 60.0 / per_minute if per_minute else 0.0
        # At least five: nobody writes slower than that because of a low limit.
        self._burst_s = max(BURST_S, 5 * self._every_s)
        self._most = most
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._full_at)

    def wait_s(self, name: str) -> float:
        """Seconds until this bucket has a token; 0 where it has one."""
        if not self._every_s:
            return 0.0
        at = self._clock()
        return max(0.0, max(self._full_at.get(name, at), at) + self._every_s - self._burst_s - at)

    def take(self, name: str) -> None:
        """Take a token that is there."""
        if not self._every_s:
            return
        at = self._clock()
        self._full_at[name] = max(self._full_at.pop(name, at), at) + self._every_s
        while self._full_at and (len(self._full_at) > self._most or next(iter(self._full_at.values())) <= at):
            self._full_at.popitem(last=False)


class RateLimits:
    """The buckets that a message must pass, all or none."""

    def __init__(
        self,
        settings: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_refusal: Callable[[Of], None] = lambda _: None,
    ) -> None:
        """Make them.

        Args:
            settings: Messages a minute.
            clock: Seconds that never go back.
            on_refusal: Hears of whose limit was met.
        """
        self._buckets: dict[Of, Buckets] = {
            "visitor": Buckets(settings.visitor_per_minute, clock=clock),
            "account": Buckets(settings.account_per_minute, clock=clock),
            "everybody": Buckets(settings.total_per_minute, clock=clock),
        }
        self._on_refusal = on_refusal

    def take(self, *, account: str, visitor: str | None = None) -> None:
        """Let one message pass.

        Args:
            account: Whose message it is on our side: a brand, or a caller of the API.
            visitor: Who wrote it; None where the account itself did.

        Raises:
            SlowDown: With `retry_after_s`; nothing was taken from any bucket.
        """
        names: dict[Of, str | None] = {"visitor": visitor, "account": account, "everybody": ""}
        wanted = [(of, self._buckets[of], name) for of, name in names.items() if name is not None]
        for of, bucket, name in wanted:
            if (wait_s := bucket.wait_s(name)) > 0:
                self._on_refusal(of)
                whose = "You send" if of == "visitor" else "This service gets"
                raise SlowDown(f"{whose} more messages than it can take.", retry_after_s=math.ceil(wait_s))
        for _, bucket, name in wanted:
            bucket.take(name)
