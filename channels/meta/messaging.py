"""What Meta posts for Messenger and Instagram: entry[] x messaging[], lists on both levels.

Source: developers.facebook.com/docs/messenger-platform/reference/webhook-events and
developers.facebook.com/docs/instagram-platform/webhooks/examples (2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from channels.base import Edit, Inbound, InboundMessage, Reaction, Receipt
from channels.meta.envelope import Found, parse_envelope, thumb
from channels.payloads import Id, Loose

SIGNALS = {"read": "read", "delivery": "delivery"}
"""Events that are no message of the person, by the key that holds them."""

LIKES: Mapping[str, Literal["up", "down"]] = {"like": "up", "dislike": "down"}

MAX_METADATA_CHARS = 1000
"""Source: Send API reference, message.metadata."""

MESSAGE_FIELDS = ("messages", "messaging_postbacks")
"""Fields of an app's subscription under which people's messages come."""

IGNORED_REASONS = frozenset(
    {
        *SIGNALS.values(),
        "malformed",
        "other_event",
        "other_field",
        "other_object",
        "own_message",
        "standby",
    }
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""


class Party(Loose):
    """A person by their id for this page or account, or the page or account itself."""

    id: Id


class Event(Loose):
    """The outside of an event."""

    sender: Party
    recipient: Party
    timestamp: Annotated[int, Field(ge=0, lt=10**15)] | Id | None = None


class QuickReply(Loose):
    """Of a chosen quick reply."""

    payload: str | None = None


class Message(Loose):
    """Of a message event; attachments are not read."""

    mid: Id
    text: str | None = None
    quick_reply: QuickReply | None = None
    is_echo: bool = False
    is_deleted: bool = False
    metadata: str | None = Field(default=None, max_length=MAX_METADATA_CHARS)


class ReactedTo(Loose):
    """Of a reaction."""

    mid: Id
    action: str
    reaction: str | None = None
    emoji: str | None = None


class Edited(Loose):
    """Of a message that its writer changed."""

    mid: Id
    text: str


class Postback(Loose):
    """Of a pressed button."""

    mid: Id | None = None
    title: str | None = None
    payload: str | None = None


def parse_messaging(body: bytes, *, channel: str, product: str) -> Inbound:
    """One verified body.

    Args:
        body: As it came.
        channel: Ours, for the messages.
        product: `page` or `instagram`.

    Raises:
        PayloadInvalid: Not JSON, or not even the outermost shape is Meta's.
    """
    return parse_envelope(body, product, lambda entry: _entry(entry, channel))


def _entry(entry: Any, channel: str) -> Iterator[Found]:
    """The messages of one entry, and a reason for each part that is none."""
    read = False
    for name, take in (("messaging", _item), ("standby", _standby), ("changes", _change)):
        part = entry.get(name) if isinstance(entry, dict) else None
        for item in part if isinstance(part, list) else ():
            read = True
            yield take(item, channel) if isinstance(item, dict) else "malformed"
    if not read:
        yield "malformed"


def _standby(item: dict[str, Any], channel: str) -> Found:
    """Another app, such as a person's inbox, has the conversation: we only listen."""
    del item, channel
    return "standby"


def _change(item: dict[str, Any], channel: str) -> Found:
    """Comments and the like; apps with Instagram Login report that some get their messages in this shape too."""
    if item.get("field") not in MESSAGE_FIELDS:
        return "other_field"
    event = item.get("value")
    return _item(event, channel) if isinstance(event, dict) else "malformed"


def _item(item: dict[str, Any], channel: str) -> Found:
    try:
        if "message" in item:
            return _message(item, channel)
        if "postback" in item:
            return _postback(item, channel)
        if "reaction" in item:
            return _reaction(item)
        if "message_edit" in item:
            edited = Edited.model_validate(item["message_edit"])
            return Edit(Event.model_validate(item).recipient.id, edited.mid, edited.text)
    except ValidationError:
        return "malformed"
    return next((reason for key, reason in SIGNALS.items() if key in item), "other_event")


def _message(item: dict[str, Any], channel: str) -> Found:
    message = Message.model_validate(item["message"])
    if message.is_echo:
        # Without our mark it is no part of a reply: a person of the brand wrote it, or another app.
        return Receipt(_sender(item), "sent", message.metadata, message.mid) if message.metadata else "own_message"
    if message.is_deleted:
        return Edit(Event.model_validate(item).recipient.id, message.mid, None)
    chosen = message.quick_reply.payload if message.quick_reply else None
    return _inbound(Event.model_validate(item), channel, message.mid, message.text or chosen or "")


def _sender(item: dict[str, Any]) -> str:
    return Event.model_validate(item).sender.id


def _reaction(item: dict[str, Any]) -> Found:
    reaction = ReactedTo.model_validate(item["reaction"])
    value = LIKES.get(reaction.reaction or "") or thumb(reaction.emoji)
    return Reaction(
        Event.model_validate(item).recipient.id, reaction.mid, value if reaction.action == "react" else None
    )


def _postback(item: dict[str, Any], channel: str) -> Found:
    postback, event = Postback.model_validate(item["postback"]), Event.model_validate(item)
    if postback.mid is None and event.timestamp is None:
        return "malformed"
    # Without an id of its own, as older versions of the API send it: one person presses one button in a millisecond.
    own_id = postback.mid or f"postback:{event.sender.id[:256]}:{str(event.timestamp)[:64]}"
    return _inbound(event, channel, own_id, postback.title or postback.payload or "")


def _inbound(event: Event, channel: str, message_id: str, text: str) -> Found:
    person, account = event.sender.id, event.recipient.id
    if person == account:
        return "own_message"
    return InboundMessage(
        channel=channel,
        account=account,
        message_id=message_id,
        conversation_key=person,
        sender=person,
        text=text,
        reply_to={"recipient": person},
    )
