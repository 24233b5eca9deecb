"""What the Graph API's error codes mean for a reply: decided on `code`, never on a title, which Meta rewords.

Source: developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes, and the table of pywa's errors module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.answers import answer_object, retry_after_s
from channels.errors import DeliveryFailed

RETRYABLE = frozenset({1, 2, 4, 80007, 130429, 131000, 131016, 131056, 131057, 133004})
"""Load, rates and passing trouble on Meta's side."""

PAIR_RATE = 131056
PAIR_RATE_WAIT_S = 6.0
"""One message in 6 s to one person, once a burst of 45 is used up; the answer itself names no time."""

WINDOW_CLOSED = 131047

_FINAL: dict[int, str] = {
    0: "The access token is not valid. Store a fresh one.",
    10: "The app lacks the permission whatsapp_business_messaging. Grant it in the Meta app.",
    100: "A parameter is wrong, often the phone_number_id in the brand's file. Compare it with the Meta app.",
    190: "The access token has expired. Store a fresh one, best of a system user.",
    368: "The account is blocked for a violation of policy. See the Business Manager.",
    131008: "A required parameter is missing. Report it.",
    131009: "A parameter has a wrong value. Report it.",
    131021: "Sender and recipient are the same number.",
    131026: "The person cannot receive it: no WhatsApp, an old version, or terms not accepted.",
    131030: "The number is not on the list of a test account. Add it in the Meta app.",
    131031: "The account is locked. See the Business Manager.",
    131042: "There is a problem with the payment method. See the Business Manager.",
    WINDOW_CLOSED: "More than 24 hours since the person's last message: only an approved template may be sent now.",
    131048: "Too many messages of this number were reported as spam. Stop and look at its quality rating.",
    131049: "Meta holds the message back to protect the person. Do not send it again.",
    131050: "The person opted out of such messages. Do not send it again.",
    131051: "The type of message is not supported.",
    131062: "This message cannot be sent to a business-scoped user id; a phone number is needed.",
    131064: "Meta refused this message. Stop and look at the number's status in the Business Manager.",
}

_PERMISSIONS = range(200, 300)


def failure(status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> DeliveryFailed:
    """What an answer that is no success means for the reply.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: Meta's error object, or anything that stood in its way.
        now_s: Seconds since the epoch.
    """
    error = (answer_object(body) or {}).get("error")
    details: dict[str, Any] = error if isinstance(error, dict) else {}
    code = details.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        code = None
    retryable = _is_retryable(status, code, transient=details.get("is_transient") is True)
    wait_s = retry_after_s(headers, now_s=now_s)
    if wait_s is None and code == PAIR_RATE:
        wait_s = PAIR_RATE_WAIT_S
    name = f"HTTP {status}" if code is None else f"code {code}"
    return DeliveryFailed(
        f"WhatsApp did not take the reply: {name}. {_cure(code, retryable=retryable)}",
        retryable=retryable,
        retry_after_s=wait_s,
        code=str(status if code is None else code),
    )


def _is_retryable(status: int, code: int | None, *, transient: bool) -> bool:
    if code in RETRYABLE:
        return True
    if code is not None and (code in _FINAL or code in _PERMISSIONS):
        return False
    # An unknown code, or an answer that is not Meta's: by the status.
    return transient or status in {408, 429} or not 400 <= status < 500


def _cure(code: int | None, *, retryable: bool) -> str:
    if code in _PERMISSIONS:
        return "The app lacks a permission. Grant it in the Meta app."
    if code in _FINAL:
        return _FINAL[code]
    return "It is tried again later." if retryable else "See the error codes of the Cloud API."
