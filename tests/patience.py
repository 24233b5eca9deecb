"""How long a test waits for what will come."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""A limit against hanging, never a measure: a busy machine needs many times what a quiet one does."""


def until(true: Callable[[], object]) -> None:
    """Wait until something is true, which happens in another thread or process."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)
