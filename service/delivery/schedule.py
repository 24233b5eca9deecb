"""When what failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, bindparam

SCHEDULE_S = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0)
"""Between attempts. Source: Standard Webhooks specification, retry schedule (shortened: a chat ends within a day)."""
JITTER = 0.2
"""Share of a wait that is drawn anew, so that what failed together does not come back together."""
AT_ONCE_S = 60.0
"""What was never tried is planned for at once; one that lies further ahead was planned before a clock went back."""
LONGEST_S = SCHEDULE_S[-1] * (1 + JITTER)
"""No pause is longer, so that this holds of everything that is planned."""


def is_due(table: Table) -> ColumnElement[bool]:
    """Whether a row's time has come, by `next_attempt_at` and `attempts`; with `moments` as the parameters.

    Clocks are set back, by minutes or by hours, and what was planned before must not wait until they have caught up.
    """
    planned = table.c.next_attempt_at
    fresh = (table.c.attempts == 0) & (planned > bindparam("beyond_at_once"))
    return (planned <= bindparam("at")) | fresh | (planned > bindparam("beyond_longest"))


def moments(at: datetime) -> Mapping[str, datetime]:
    """The parameters of `is_due`.

    Args:
        at: The present moment.
    """
    longest = at + timedelta(seconds=LONGEST_S)
    return {"at": at, "beyond_at_once": at + timedelta(seconds=AT_ONCE_S), "beyond_longest": longest}


def wait_s(attempts: int, retry_after_s: float | None = None, backoff_base: float | None = None) -> float:
    """Seconds until the next attempt; never sooner than the other side asked for, up to `LONGEST_S`.

    Args:
        attempts: Attempts so far, from 1 to `len(SCHEDULE_S)`.
        retry_after_s: What the other side asked for.
        backoff_base: Where the other side names waits that grow, they stand in place of our schedule: this to the power
            of `attempts`.
    """
    # Not a secret: it only spreads load.
    spread = random.uniform(0.0, JITTER)  # noqa: S311
    planned_s = SCHEDULE_S[attempts - 1] if backoff_base is None else backoff_base**attempts
    return min(max(planned_s, retry_after_s or 0.0) * (1 + spread), LONGEST_S)
