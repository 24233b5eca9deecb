"""What LINE posts: the id of our account and a list of events, empty when the console checks our address.

Each event is read by itself: a malformed one is ignored under that name and its siblings go on.

Source: webhook.yml of line/line-openapi (2026), and the recorded events of LINE's own Python SDK.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError

from channels.base import Inbound, InboundMessage
from channels.errors import PayloadInvalid
from channels.payloads import MAX_ID_CHARS, Id, Loose, load_object

IGNORED_EVENTS = {
    "accountLink": "account_link",
    "beacon": "beacon",
    "follow": "follow",
    "join": "join",
    "leave": "leave",
    "memberJoined": "member_joined",
    "memberLeft": "member_left",
    "messageEdited": "edited",
    "unfollow": "unfollow",
    "unsend": "unsend",
    "videoPlayComplete": "video_played",
}
"""Events that are no new message of a person, by LINE's names."""

IGNORED_REASONS = frozenset(
    {*IGNORED_EVENTS.values(), "empty", "malformed", "not_addressed", "other_event", "own_message", "standby"}
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""

Position = Annotated[int, Field(ge=0)]


class Source(Loose):
    """Where an event happened; who was there is not always told in groups and rooms."""

    type: str
    user_id: Id | None = Field(default=None, alias="userId")
    group_id: Id | None = Field(default=None, alias="groupId")
    room_id: Id | None = Field(default=None, alias="roomId")

    @property
    def chat(self) -> str | None:
        """The id of the whole conversation, which is also where an answer goes."""
        return {"user": self.user_id, "group": self.group_id, "room": self.room_id}.get(self.type)


class Mentionee(Loose):
    """One mention in a text; its place counts UTF-16 units."""

    index: Position
    length: Position
    is_self: bool = Field(default=False, alias="isSelf")


class Mention(Loose):
    """All mentions in a text."""

    mentionees: tuple[Mentionee, ...] = ()


class Content(Loose):
    """A message; the text of a sticker says what it shows, and nobody wrote it."""

    type: str
    text: str = ""
    mention: Mention = Mention()


class Postback(Loose):
    """A pressed button: what it stands for, and what it showed where that is told."""

    data: str = ""
    display_text: str = Field(default="", alias="displayText")


class Event(Loose):
    """The part of an event that is the same for messages and postbacks."""

    webhook_event_id: Id = Field(alias="webhookEventId")
    mode: str = "active"
    reply_token: Id | None = Field(default=None, alias="replyToken")
    source: Source


class MessageEvent(Event):
    """A person wrote."""

    message: Content


class PostbackEvent(Event):
    """A person pressed a button."""

    postback: Postback


def parse_body(body: bytes) -> Inbound:
    """One verified body.

    Raises:
        PayloadInvalid: Not JSON, or not even the outermost shape is LINE's.
    """
    payload = load_object(body)
    destination, events = payload.get("destination"), payload.get("events")
    if not isinstance(destination, str) or not 0 < len(destination) <= MAX_ID_CHARS or not isinstance(events, list):
        raise PayloadInvalid("The body has no 'destination' and 'events' as LINE's webhooks do. Look at what was sent.")
    results = [_event(event, destination) for event in events] or ["empty"]
    return Inbound(
        messages=tuple(result for result in results if isinstance(result, InboundMessage)),
        ignored=tuple(result for result in results if isinstance(result, str)),
    )


def _event(raw: Any, destination: str) -> InboundMessage | str:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        return "malformed"
    try:
        match kind:
            case "message":
                return _message(MessageEvent.model_validate(raw), destination)
            case "postback":
                return _postback(PostbackEvent.model_validate(raw), destination)
            case _:
                return IGNORED_EVENTS.get(kind, "other_event")
    except ValidationError:
        return "malformed"


def _message(event: MessageEvent, destination: str) -> InboundMessage | str:
    own = [mentioned for mentioned in event.message.mention.mentionees if mentioned.is_self]
    # Pictures cannot mention anyone, so in a group they are never meant for us.
    if event.source.type != "user" and not own:
        return "not_addressed"
    text = _without(event.message.text, own) if event.message.type == "text" else ""
    return _inbound(event, destination, text)


def _postback(event: PostbackEvent, destination: str) -> InboundMessage | str:
    return _inbound(event, destination, event.postback.display_text or event.postback.data)


def _inbound(event: Event, destination: str, text: str) -> InboundMessage | str:
    chat = event.source.chat
    if chat is None:
        return "malformed"
    if event.mode == "standby":
        # Another system has the conversation for now, and this event cannot be answered.
        return "standby"
    if event.source.user_id == destination:
        return "own_message"
    token = {"reply_token": event.reply_token} if event.reply_token else {}
    return InboundMessage(
        channel="line",
        account=destination,
        message_id=event.webhook_event_id,
        conversation_key=chat,
        sender=event.source.user_id or chat,
        text=text,
        reply_to={"to": chat, "source": event.source.type, **token},
    )


def _without(text: str, mentions: list[Mentionee]) -> str:
    """The text without these mentions."""
    if not mentions:
        return text
    units = text.encode("utf-16-le")
    for mention in sorted(mentions, key=lambda one: one.index, reverse=True):
        units = units[: 2 * mention.index] + units[2 * (mention.index + mention.length) :]
    return units.decode("utf-16-le", errors="replace").strip()
