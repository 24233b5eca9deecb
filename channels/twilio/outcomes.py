"""What Twilio's error codes mean for a reply: decided on `code`, never on the message, which names the customer.

Source: twilio.com/docs/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.answers import answer_object, retry_after_s, whole
from channels.errors import DeliveryFailed

RETRYABLE = frozenset({14107, 20429, 20500, 20503, 21611, 30001, 30017, 30022, 63018})
"""Rates, full queues and passing trouble on Twilio's or the network's side."""

UNSUBSCRIBED = 21610
WINDOW_CLOSED = 63016

_FINAL: dict[int, str] = {
    20003: "The account SID and the auth token do not belong together. Store the token of this account.",
    20404: "There is no such account. Compare account_sid with the Twilio Console.",
    21211: "The person's number is not valid.",
    21212: "The brand's number is not valid. Compare it with the Twilio Console.",
    21408: "The account may not send to the person's country. Allow it in the Console's Geo Permissions.",
    21602: "The text is empty. Report it.",
    21603: "There is no number to send from. Report it.",
    21604: "There is no number to send to. Report it.",
    21606: "The brand's number cannot send to this person. Compare it with the Twilio Console.",
    21608: "A trial account sends to verified numbers only. Upgrade it, or verify the number.",
    UNSUBSCRIBED: "The person has unsubscribed from this number (STOP). Do not send it again.",
    21612: "There is no way from the brand's number to the person's.",
    21614: "The person's number is not one of a mobile phone.",
    21617: "The text is longer than 1,600 characters; it should have been split. Report it.",
    21910: "The two numbers are not both of WhatsApp or both of SMS. Report it.",
    30002: "The account is suspended. See the Twilio Console.",
    30003: "The person's phone cannot be reached.",
    30004: "The person or their network blocks the number.",
    30005: "The person's number is unknown or out of service.",
    30006: "The person's number is a landline, or its network cannot be reached.",
    30007: "The text was filtered as spam. Look at the number's registration and at what it sends.",
    30034: "The number is not registered for messages to the United States (A2P 10DLC).",
    63003: "The person cannot be reached on WhatsApp.",
    63007: "The brand's WhatsApp number is not one of this account. Compare it with the Twilio Console.",
    63015: "The person has not joined the WhatsApp sandbox.",
    WINDOW_CLOSED: "More than 24 hours since the person's last message: only an approved template may be sent now.",
    63024: "The person's number is not one of WhatsApp.",
    63032: "WhatsApp holds the message back to protect the person. Do not send it again.",
}


def failure(status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> DeliveryFailed:
    """What an answer that is no success means for the reply.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: Twilio's error, a message that failed at once, or anything that stood in its way.
        now_s: Seconds since the epoch.
    """
    code = error_code(body)
    if code in RETRYABLE:
        retryable = True
    elif code in _FINAL:
        retryable = False
    else:
        # An unknown code, of an error or of a message that was taken and failed at once; or no answer of Twilio's.
        retryable = status in {408, 429} or status >= 500 or (code is None and not 400 <= status < 500)
    cure = _FINAL.get(code or 0) or ("It is tried again later." if retryable else "See Twilio's list of error codes.")
    name = f"HTTP {status}" if code is None else f"code {code}"
    return DeliveryFailed(
        f"Twilio did not take the reply: {name}. {cure}",
        retryable=retryable,
        retry_after_s=retry_after_s(headers, now_s=now_s),
        code=str(status if code is None else code),
    )


def told_failure(code: int | None) -> DeliveryFailed:
    """What Twilio tells of a message that it took and could not deliver.

    Args:
        code: Where it names one.
    """
    retryable = code in RETRYABLE
    cure = _FINAL.get(code or 0) or ("It is tried again later." if retryable else "See Twilio's list of error codes.")
    name = "no code" if code is None else f"code {code}"
    return DeliveryFailed(
        f"Twilio could not deliver the message: {name}. {cure}", retryable=retryable, code=str(code or "")
    )


def error_code(body: bytes) -> int | None:
    """The code of an error, or of a message that failed at once; None where there is none."""
    answer = answer_object(body) or {}
    code = whole(answer.get("code"))
    return whole(answer.get("error_code")) if code is None else code
