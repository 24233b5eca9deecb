"""What the Cloud API's error codes mean for a reply.

Source: developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes, and the table of pywa's errors module.
"""

from __future__ import annotations

from channels.meta.graph import FINAL, OPERATOR, RETRYABLE, Codes

PAIR_RATE = 131056
PAIR_RATE_WAIT_S = 6.0
"""One message in 6 s to one person, once a burst of 45 is used up; the answer itself names no time."""
PAIR_RATE_BASE = 4.0
"""Meta asks for waits of 4 to the power of n seconds."""

WINDOW_CLOSED = 131047

CODES = Codes(
    product="WhatsApp",
    table="the error codes of the Cloud API",
    # Load, rates and passing trouble on Meta's side.
    retryable=RETRYABLE | {80007, 130429, 131000, 131016, PAIR_RATE, 131057, 133004},
    final={
        **FINAL,
        10: "The app lacks the permission whatsapp_business_messaging. Grant it in the Meta app.",
        100: "A parameter is wrong, often the phone_number_id in the brand's file. Compare it with the Meta app.",
        130472: "Meta tries out whether the person misses such messages, and holds them back. Do not send it again.",
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
    },
    waits_s={PAIR_RATE: PAIR_RATE_WAIT_S},
    backoff_bases={PAIR_RATE: PAIR_RATE_BASE},
    operator=OPERATOR | {131031, 131042, 131048, 131064},
    window_closed=frozenset({WINDOW_CLOSED}),
)
