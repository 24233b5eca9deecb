"""How many messages a visitor, an account and everybody may send.

Whoever writes under many names is held back by the buckets of the account and of everybody.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

from configs.service import Limits
from service.buckets import MOST_BUCKETS, Buckets
from service.errors import SlowDown

Of = Literal["visitor", "account", "everybody"]

BURST_S = 30.0
"""As many messages as this many seconds allow may come at once."""


def per_minute(messages: float, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS) -> Buckets:
    """Buckets for so many messages a minute, half of them at once; 0 sets no limit.

    At least five at once: nobody writes slower than that because of a low limit.
    """
    every_s = 60.0 / messages if messages else 0.0
    burst = max(BURST_S / every_s, 5.0) if every_s else 1.0
    return Buckets(every_s, burst, clock=clock, most=most)


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
            "visitor": per_minute(settings.visitor_per_minute, clock=clock),
            "account": per_minute(settings.account_per_minute, clock=clock),
            "everybody": per_minute(settings.total_per_minute, clock=clock),
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
