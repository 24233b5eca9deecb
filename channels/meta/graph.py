"""What the Graph API answers to a call: decided on `code`, never on a title, which Meta rewords.

Source: developers.facebook.com/docs/graph-api/guides/error-handling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from channels.answers import answer_object, passes, retry_after_s, whole
from channels.errors import DeliveryFailed

RETRYABLE = frozenset({1, 2, 4})
"""Load and passing trouble, of every product."""

FINAL: Mapping[int, str] = {
    0: "The access token is not valid. Store a fresh one.",
    190: "The access token has expired. Store a fresh one, best of a system user.",
    368: "The account is blocked for a violation of policy. See the Business Manager.",
}
"""Cures of what does not pass by itself, of every product."""

_PERMISSIONS = range(200, 300)

OPERATOR = frozenset({0, 10, 190, 368, *_PERMISSIONS})
"""Tokens, permissions and blocks, of every product."""
_LATER = "It is tried again later."


@dataclass(frozen=True, slots=True)
class Codes:
    """What the error codes of one product mean."""

    product: str
    """As people know it."""
    table: str
    """Where the other codes are explained."""
    retryable: frozenset[int]
    final: Mapping[int, str]
    """Cures by code."""
    final_subcodes: Mapping[int, str] = field(default_factory=dict)
    """Cures by `error_subcode`, where that says more than the code."""
    waits_s: Mapping[int, float] = field(default_factory=dict)
    """Seconds to wait for codes that come without a time."""
    backoff_bases: Mapping[int, float] = field(default_factory=dict)
    """Of codes whose n-th wait is this to the power of n seconds."""
    operator: frozenset[int] = OPERATOR
    """After which nothing of the account is taken until somebody acts at Meta."""
    window_closed: frozenset[int] = frozenset()
    """After which only a template is taken for this person."""


def accepted(status: int, headers: Mapping[str, str], body: bytes, codes: Codes, *, now_s: float) -> dict[str, Any]:
    """What Meta says of a call that it took.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: Meta's answer, or anything that stood in its way.
        codes: Of the product that was called.
        now_s: Seconds since the epoch.

    Raises:
        DeliveryFailed: It did not take the call.
    """
    answer = answer_object(body)
    if status == 200 and answer is not None and "error" not in answer:
        return answer
    error = (answer or {}).get("error")
    details: dict[str, Any] = error if isinstance(error, dict) else {}
    code, subcode = whole(details.get("code")), whole(details.get("error_subcode"))
    retryable, cure = _verdict(status, code, subcode, codes, transient=details.get("is_transient") is True)
    name = f"HTTP {status}" if code is None else f"code {code}" + (f", subcode {subcode}" if subcode else "")
    raise _failed(
        f"{codes.product} did not take the reply: {name}. {cure}",
        code,
        codes,
        retryable=retryable,
        wait_s=retry_after_s(headers, now_s=now_s),
        name=str(status if code is None else code),
    )


def told_failure(code: int | None, codes: Codes) -> DeliveryFailed:
    """What Meta tells of a message that it took and could not deliver.

    Args:
        code: Of the first error, where it names one.
        codes: Of the product.
    """
    retryable, cure = _verdict(400, code, None, codes, transient=False)
    told = f"{codes.product} could not deliver the message: " + ("no code" if code is None else f"code {code}")
    return _failed(f"{told}. {cure}", code, codes, retryable=retryable, wait_s=None, name=str(code or ""))


def _failed(
    message: str, code: int | None, codes: Codes, *, retryable: bool, wait_s: float | None, name: str
) -> DeliveryFailed:
    if wait_s is None and code is not None:
        wait_s = codes.waits_s.get(code)
    return DeliveryFailed(
        message,
        retryable=retryable,
        retry_after_s=wait_s,
        code=name,
        backoff_base=None if code is None else codes.backoff_bases.get(code),
        needs_operator=code in codes.operator,
        window_closed=code in codes.window_closed,
    )


def _verdict(status: int, code: int | None, subcode: int | None, codes: Codes, *, transient: bool) -> tuple[bool, str]:
    """Whether the same call may succeed later, and what to do."""
    if subcode is not None and (cure := codes.final_subcodes.get(subcode)):
        return False, cure
    if code in codes.retryable:
        return True, _LATER
    if code is not None and (cure := codes.final.get(code)):
        return False, cure
    if code in _PERMISSIONS:
        return False, "The app lacks a permission. Grant it in the Meta app."
    # An unknown code, or an answer that is not Meta's: by the status.
    if transient or passes(status):
        return True, _LATER
    return False, f"See {codes.table}."
