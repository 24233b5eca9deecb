"""What Twilio posts for messages: a form each, for SMS and WhatsApp alike; and the states of those that we sent.

Source: twilio.com/docs/messaging/guides/webhook-request, .../guides/track-outbound-message-status, and "Twilio support
for opt-out keywords" in Twilio's help.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationError

from channels.base import Answer, Inbound, InboundMessage, Receipt, ReceiptState
from channels.errors import PayloadInvalid
from channels.payloads import Id, Loose, load_form
from channels.twilio.outcomes import told_failure

NO_REPLY = Answer(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml")
"""TwiML that does nothing: the reply comes by a call of its own. Plain text here would be sent to the person."""

WORDS = {
    **dict.fromkeys(("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"), "opt_out"),
    **dict.fromkeys(("START", "UNSTOP"), "opt_in"),
    **dict.fromkeys(("HELP", "INFO"), "help"),
}
"""Messages of one such word belong to Twilio, which answers them itself; after one of the first kind it lets no reply
through.

YES is left out: Twilio also takes it for START from somebody who had opted out, but it holds nothing back, and to us it
is the answer to a question.
"""

OPT_OUT_TYPES = {"STOP": "opt_out", "START": "opt_in", "HELP": "help"}
"""Of a Messaging Service with Advanced Opt-Out, whose words are of the operator's choice."""

ARRIVED = frozenset({"received", "receiving"})
STATES: Mapping[str, ReceiptState] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    **dict.fromkeys(("failed", "undelivered", "canceled"), "failed"),
}
"""Of a message of ours; those before them say nothing of its arrival."""

IGNORED_REASONS = frozenset({*WORDS.values(), "own_message", "status"})
"""All reasons there are: they become metric labels, so none holds a word of the payload."""


class Message(Loose):
    """One form; what is not in it is empty."""

    sid: Id = Field(alias="MessageSid")
    sender: Id = Field(alias="From")
    to: Id = Field(alias="To")
    body: str = Field(default="", alias="Body")
    button_text: str = Field(default="", alias="ButtonText")
    opt_out_type: str = Field(default="", alias="OptOutType")
    message_status: str = Field(default="", alias="MessageStatus")
    sms_status: str = Field(default="", alias="SmsStatus")
    error_code: str = Field(default="", alias="ErrorCode")

    @property
    def status(self) -> str:
        """How far a message of ours got; empty where a person wrote."""
        status = (self.message_status or self.sms_status).lower()
        return "" if status in ARRIVED else status


def parse_body(body: bytes) -> Inbound:
    """One verified body.

    Raises:
        PayloadInvalid: Not a form, or not one of a message.
    """
    try:
        message = Message.model_validate(load_form(body))
    except ValidationError as error:
        # The fields at fault, without their values: those may be a customer's words.
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors()[:5])
        raise PayloadInvalid(f"The form is not one of a Twilio message: {fields}. Look at what was sent.") from error
    if state := STATES.get(message.status):
        return Inbound(receipts=(_receipt(message, state),), answer=NO_REPLY)
    reason = _why_ignored(message)
    if reason:
        return Inbound(ignored=(reason,), answer=NO_REPLY)
    return Inbound(messages=(_inbound(message),), answer=NO_REPLY)


def _why_ignored(message: Message) -> str | None:
    if message.status:
        return "status"
    if message.sender == message.to:
        return "own_message"
    return OPT_OUT_TYPES.get(message.opt_out_type.upper()) or WORDS.get(message.body.strip().upper())


def _receipt(message: Message, state: ReceiptState) -> Receipt:
    code = int(message.error_code) if message.error_code.isdecimal() and message.error_code.isascii() else None
    failure = told_failure(code) if state == "failed" else None
    return Receipt(message.sender, state, message_id=message.sid, failure=failure)


def _inbound(message: Message) -> InboundMessage:
    return InboundMessage(
        channel="twilio",
        account=message.to,
        message_id=message.sid,
        conversation_key=message.sender,
        sender=message.sender,
        # Of a picture without a caption Twilio sends its address and no body: there is nothing to read.
        text=message.body or message.button_text,
        reply_to={"to": message.sender},
    )
