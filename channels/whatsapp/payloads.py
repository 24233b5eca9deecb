"""What Meta posts for WhatsApp: entry[] x changes[] x value.{messages[], statuses[], ...}, lists on all levels.

Source: developers.facebook.com/docs/whatsapp/cloud-api/webhooks, its page on business-scoped user ids (31 March
2026), and the recorded bodies of pywa's tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationError

from channels.base import Edit, Inbound, InboundMessage, Reaction, Receipt, ReceiptState
from channels.meta.envelope import Found, parse_envelope, thumb
from channels.meta.graph import told_failure
from channels.payloads import Id, Loose
from channels.whatsapp.outcomes import CODES

MAX_CALLBACK_CHARS = 512
"""Source: Cloud API reference, biz_opaque_callback_data."""

OBJECT = "whatsapp_business_account"

IGNORED_TYPES = {"system": "system", "request_welcome": "welcome"}
"""Types that are nothing of the person's; every type that is not known here is a message, readable or not."""

CHANGES = frozenset({"reaction", "revoke", "edit"})
"""Types that tell of another message."""

STATES: Mapping[str, ReceiptState] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}

IGNORED_REASONS = frozenset(
    {
        *IGNORED_TYPES.values(),
        "empty",
        "group_message",
        "malformed",
        "other_field",
        "other_object",
        "own_message",
        "platform_error",
        "status",
    }
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""


class Contact(Loose):
    """Who wrote; people with a username come without a phone number."""

    user_id: Id | None = None
    wa_id: Id | None = None


class Metadata(Loose):
    """Which of our numbers was written to."""

    phone_number_id: Id
    display_phone_number: str = ""


class Message(Loose):
    """The part of a message that is the same for all types."""

    id: Id
    type: Id
    phone: Id | None = Field(default=None, alias="from")
    from_user_id: Id | None = None
    group_id: str | None = None


class TextBody(Loose):
    """Of a text message."""

    body: str


class Button(Loose):
    """Of the quick reply to a template."""

    text: str


class Choice(Loose):
    """Of a pressed button or a chosen row."""

    title: str


class Order(Loose):
    """Of a filled basket, with what was written beside it."""

    text: str | None = None


class ReactedTo(Loose):
    """Of a reaction; without an emoji it was taken back."""

    message_id: Id
    emoji: str | None = None


class Revoked(Loose):
    """Of a message that its writer took back."""

    original_message_id: Id


class Edited(Loose):
    """Of a message that its writer changed."""

    original_message_id: Id
    message: dict[str, Any]


class StatusError(Loose):
    """Why a message could not be delivered."""

    code: int


class Status(Loose):
    """What became of a message of ours."""

    id: Id
    status: str
    mark: str | None = Field(default=None, alias="biz_opaque_callback_data", max_length=MAX_CALLBACK_CHARS)
    errors: list[StatusError] | None = None


class Captioned(Loose):
    """Of a picture, a film or a document."""

    caption: str = ""


def parse_body(body: bytes) -> Inbound:
    """One verified body.

    Raises:
        PayloadInvalid: Not JSON, or not even the outermost shape is Meta's.
    """
    return parse_envelope(body, OBJECT, _entry)


def _entry(entry: Any) -> Iterator[Found]:
    """What is in every change of an entry."""
    changes = entry.get("changes") if isinstance(entry, dict) else None
    for change in changes if isinstance(changes, list) else (None,):
        yield from _change(change)


def _change(change: Any) -> Iterator[Found]:
    """The messages of one change, and a reason for each part that is none."""
    value = change.get("value") if isinstance(change, dict) else None
    if not isinstance(value, dict):
        yield "malformed"
    elif "message_echoes" in value:
        yield "own_message"
    elif change.get("field") != "messages":
        yield "other_field"
    else:
        yield from _value(value)


def _value(value: dict[str, Any]) -> Iterator[Found]:
    found = False
    for name, read in (("messages", _messages), ("statuses", _statuses), ("errors", _errors)):
        part = value.get(name)
        if isinstance(part, list):
            for result in read(part, value):
                found = True
                yield result
        elif part is not None:
            found = True
            yield "malformed"
    if not found:
        yield "empty"


def _statuses(statuses: list[Any], value: dict[str, Any]) -> Iterator[Found]:
    for raw in statuses:
        try:
            yield _status(raw, Metadata.model_validate(value.get("metadata")))
        except ValidationError:
            yield "malformed"


def _status(raw: Any, metadata: Metadata) -> Found:
    status = Status.model_validate(raw)
    if raw.get("recipient_type") == "group":
        return "group_message"
    state = STATES.get(status.status)
    if state is None:
        return "status"
    failure = told_failure(status.errors[0].code if status.errors else None, CODES) if state == "failed" else None
    return Receipt(metadata.phone_number_id, state, status.mark or "", status.id, failure)


def _errors(errors: list[Any], value: dict[str, Any]) -> Iterator[str]:
    del value
    for _ in errors:
        yield "platform_error"


def _messages(messages: list[Any], value: dict[str, Any]) -> Iterator[Found]:
    contacts = _contacts(value.get("contacts"))
    for raw in messages:
        try:
            yield _message(raw, Metadata.model_validate(value.get("metadata")), contacts)
        except ValidationError:
            yield "malformed"


def _contacts(raw: Any) -> list[Contact]:
    contacts = []
    for item in raw if isinstance(raw, list) else []:
        try:
            contacts.append(Contact.model_validate(item))
        except ValidationError:
            # The message itself may still say who wrote it.
            continue
    return contacts


def _message(raw: Any, metadata: Metadata, contacts: list[Contact]) -> Found:
    message = Message.model_validate(raw)
    if (reason := IGNORED_TYPES.get(message.type)) is not None:
        return reason
    if message.group_id:
        return "group_message"
    if message.type in CHANGES:
        return _change_of(message.type, raw.get(message.type), metadata.phone_number_id)
    contact = _contact_of(message, contacts)
    user_id = message.from_user_id or contact.user_id
    phone = message.phone or contact.wa_id
    # The business-scoped id first: it stays when the person takes a username and the phone number no longer comes.
    person = user_id or contact.wa_id or message.phone
    if person is None:
        return "malformed"
    if phone is not None and _digits(phone) and _digits(phone) == _digits(metadata.display_phone_number):
        return "own_message"
    # Meta advises the number over the id where both are known.
    address = {"to": phone} if phone else {"recipient": person}
    return InboundMessage(
        channel="whatsapp",
        account=metadata.phone_number_id,
        message_id=message.id,
        conversation_key=person,
        sender=person,
        text=_text(message.type, raw),
        reply_to={**address, "message_id": message.id},
    )


def _change_of(kind: str, content: Any, account: str) -> Found:
    """What a person did to another message: a thumb on one of ours, or one of theirs changed or taken back."""
    match kind:
        case "reaction":
            reaction = ReactedTo.model_validate(content)
            return Reaction(account, reaction.message_id, thumb(reaction.emoji))
        case "edit":
            edited = Edited.model_validate(content)
            return Edit(account, edited.original_message_id, _text(str(edited.message.get("type")), edited.message))
        case _:
            return Edit(account, Revoked.model_validate(content).original_message_id, None)


def _contact_of(message: Message, contacts: list[Contact]) -> Contact:
    """The sender's contact: by either id, or the only one there is."""
    for contact in contacts:
        same_user = message.from_user_id is not None and contact.user_id == message.from_user_id
        if same_user or (message.phone is not None and contact.wa_id == message.phone):
            return contact
    return contacts[0] if len(contacts) == 1 else Contact()


def _text(kind: str, raw: dict[str, Any]) -> str:
    """What the person wrote or chose; empty for what we cannot read, so that the reply can say so."""
    content = raw.get(kind)
    match kind:
        case "text":
            return TextBody.model_validate(content).body
        case "button":
            return Button.model_validate(content).text
        case "interactive":
            return _chosen(content)
        case "image" | "video" | "document":
            return Captioned.model_validate(content).caption
        case "order":
            return Order.model_validate(content).text or ""
        case _:
            return ""


def _chosen(content: Any) -> str:
    """The title of a pressed button or chosen row; empty for forms, and for one that Meta sends without its content."""
    kind = content.get("type") if isinstance(content, dict) else None
    if kind not in ("button_reply", "list_reply"):
        return ""
    return Choice.model_validate(content.get(kind)).title


def _digits(phone: str) -> str:
    return "".join(character for character in phone if character.isdigit())
