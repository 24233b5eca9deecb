"""When what failed is tried again."""

from __future__ import annotations

import random

SCHEDULE_S = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0)
"""Between attempts. Source: Standard Webhooks specification, retry schedule (shortened: a chat ends within a day)."""
JITTER = 0.2
"""Share of a wait that is drawn anew, so that what failed together does not come back together."""


def wait_s(attempts: int, retry_after_s: float | None = None, backoff_base: float | None = None) -> float:
    """Seconds until the next attempt; never sooner than the other side asked for.

    Args:
        attempts: Attempts so far, from 1 to `len(SCHEDULE_S)`.
        retry_after_s: What the other side asked for.
        backoff_base: Where the other side names waits that grow, they stand in place of our schedule: this to the power
            of `attempts`.
    """
    # Not a secret: it only spreads load.
    spread = random.uniform(0.0, JITTER)  # noqa: S311
    planned_s = SCHEDULE_S[attempts - 1] if backoff_base is None else backoff_base**attempts
    return max(planned_s, retry_after_s or 0.0) * (1 + spread)
