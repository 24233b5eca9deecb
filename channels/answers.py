"""Reading a platform's HTTP answer to a call of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

MAX_RETRY_AFTER_S = 24 * 3600.0
"""A longer wait than a day outlives WhatsApp's answering window and is taken for a mistake."""


def answer_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in an answer, or None where it holds none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def whole(value: object) -> int | None:
    """A whole number of a JSON answer, such as an error code; None for anything else, `true` and `false` included."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def passes(status: int) -> bool:
    """Whether an HTTP status says nothing final of a call, so that the same one may succeed later.

    Too slow, too many, the platform's own trouble; and a success or redirect that is not the platform's, such as a
    proxy's page.
    """
    return status in {408, 429} or not 400 <= status < 500


def seconds(value: object) -> float | None:
    """A waiting time from a JSON answer, 0 to `MAX_RETRY_AFTER_S` s; None for anything but a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    return float(min(value, MAX_RETRY_AFTER_S))


def retry_after_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """Seconds to wait by the Retry-After header, 0 to `MAX_RETRY_AFTER_S`; None where it says nothing readable.

    Args:
        headers: Names in lower case.
        now_s: Seconds since the epoch, for the header's date form.

    Source: RFC 9110 section 10.2.3: a number of seconds or an HTTP date.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_S)
    try:
        wait_s = parsedate_to_datetime(value).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
