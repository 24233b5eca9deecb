"""What Telegram posts to us: one update a body, of which messages and pressed buttons speak to us.

Source: core.telegram.org/bots/api#update, #message, #messageentity and #callbackquery.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from channels.base import Answer, Inbound, InboundMessage
from channels.errors import PayloadInvalid
from channels.payloads import Id, Loose, load_object

IGNORED_UPDATES = {
    "edited_message": "edited",
    "channel_post": "channel_post",
    "edited_channel_post": "channel_post",
    "business_connection": "business",
    "business_message": "business",
    "edited_business_message": "business",
    "deleted_business_messages": "business",
    "message_reaction": "reaction",
    "message_reaction_count": "reaction",
    "my_chat_member": "membership",
    "chat_member": "membership",
    "chat_join_request": "membership",
}
"""Updates that are no new message to us; those of other names are `other_update`."""

IGNORED_REASONS = frozenset(
    {
        *IGNORED_UPDATES.values(),
        "bot_message",
        "inline_button",
        "not_addressed",
        "other_update",
        "own_message",
        "service_message",
    }
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""

CONTENT = frozenset(
    {
        "animation",
        "audio",
        "checklist",
        "contact",
        "dice",
        "document",
        "game",
        "invoice",
        "location",
        "paid_media",
        "photo",
        "poll",
        "sticker",
        "story",
        "venue",
        "video",
        "video_note",
        "voice",
    }
)
"""What a person may send without a word; a message with neither text nor one of these tells what happened in a chat."""

GROUPS = frozenset({"group", "supergroup"})

Number = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
"""Telegram's ids have at most 52 bits; a longer number is none."""

Offset = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


@dataclass(frozen=True, slots=True)
class Bot:
    """Who we are on Telegram."""

    app: str
    """The app's name here, which is the account: an update does not say which bot it is for."""
    id: int
    username: str = ""
    """Without @; empty where it is not known, and then nobody can mention us in a group."""


class User(Loose):
    """A person or a bot."""

    id: Number
    is_bot: bool = False


class Chat(Loose):
    """Where something was written."""

    id: Number
    type: str


class Entity(Loose):
    """A stretch of a text that means something; offset and length in UTF-16 units."""

    type: str
    offset: Offset
    length: Offset
    user: User | None = None


class Place(Loose):
    """The part of a message that says where it stands."""

    message_id: Number
    chat: Chat
    message_thread_id: Number | None = None
    is_topic_message: bool = False
    """Without it a thread id only says that the message is a reply."""

    @property
    def topic(self) -> int | None:
        """The topic of a forum, where it stands in one."""
        return self.message_thread_id if self.is_topic_message else None


class RepliedTo(Loose):
    """The message that a message replies to."""

    sender: User | None = Field(default=None, alias="from")


class Message(Place):
    """A message of a person, or a note of what happened in a chat."""

    sender: User | None = Field(default=None, alias="from")
    is_automatic_forward: bool = False
    text: str | None = None
    entities: tuple[Entity, ...] = ()
    caption: str | None = None
    caption_entities: tuple[Entity, ...] = ()
    reply_to_message: RepliedTo | None = None


class Callback(Loose):
    """A pressed button."""

    id: Id
    sender: User = Field(alias="from")
    message: Place | None = None
    """Absent for a button below a message that was sent through a bot, in a chat that it may not know."""
    data: str | None = None


def parse_body(body: bytes, bot: Bot) -> Inbound:
    """One verified body.

    Args:
        body: As it came.
        bot: Us.

    Raises:
        PayloadInvalid: Not JSON, or not of the shape of its kind.
    """
    payload = load_object(body)
    number = payload.get("update_id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise PayloadInvalid("The body has no update_id as Telegram's updates do. Look at what was sent.")
    try:
        if "message" in payload:
            return _message(payload["message"], bot)
        if "callback_query" in payload:
            return _callback(payload["callback_query"], bot)
    except ValidationError as error:
        # The fields at fault, without their values: those may be a customer's words.
        fields = ", ".join(".".join(str(step) for step in fault["loc"]) for fault in error.errors()[:5])
        raise PayloadInvalid(f"The Telegram update is not of the known shape: {fields}. Look at what was sent.") from (
            error
        )
    reasons = (reason for name, reason in IGNORED_UPDATES.items() if name in payload)
    return Inbound(ignored=(next(reasons, "other_update"),))


def _message(raw: Any, bot: Bot) -> Inbound:
    message = Message.model_validate(raw)
    text, entities = message.text, message.entities
    if text is None:
        text, entities = message.caption, message.caption_entities
    if message.sender is None or message.chat.type == "channel" or message.is_automatic_forward:
        return Inbound(ignored=("channel_post",))
    if message.sender.id == bot.id:
        return Inbound(ignored=("own_message",))
    # Also who writes in the name of a channel or a group: they come as bots of Telegram's own.
    if message.sender.is_bot:
        return Inbound(ignored=("bot_message",))
    if text is None and not CONTENT.intersection(raw):
        return Inbound(ignored=("service_message",))
    spoken = _Spoken(text or "", entities, bot)
    if message.chat.type in GROUPS and not (spoken.calls_us or _replies_to_us(message, bot)):
        return Inbound(ignored=("not_addressed",))
    id_ = f"{message.chat.id}:{message.message_id}"
    return Inbound(messages=(_inbound(message, bot, sender=message.sender, text=spoken.text, id_=id_),))


def _replies_to_us(message: Message, bot: Bot) -> bool:
    replied = message.reply_to_message
    return replied is not None and replied.sender is not None and replied.sender.id == bot.id


def _callback(raw: Any, bot: Bot) -> Inbound:
    """A pressed button; answered at once, since its press turns until then."""
    callback = Callback.model_validate(raw)
    done = {"method": "answerCallbackQuery", "callback_query_id": callback.id}
    answer = Answer(json.dumps(done).encode(), "application/json")
    if callback.message is None:
        return Inbound(answer=answer, ignored=("inline_button",))
    if callback.message.chat.type == "channel":
        return Inbound(answer=answer, ignored=("channel_post",))
    if callback.data is None:
        return Inbound(answer=answer, ignored=("other_update",))
    message = _inbound(callback.message, bot, sender=callback.sender, text=callback.data, id_=f"button:{callback.id}")
    return Inbound(messages=(message,), answer=answer)


def _inbound(place: Place, bot: Bot, *, sender: User, text: str, id_: str) -> InboundMessage:
    chat, topic = str(place.chat.id), place.topic
    return InboundMessage(
        channel="telegram",
        account=bot.app,
        # Not update_id: after a quiet week Telegram begins at a random number, which may have been there before.
        message_id=id_,
        conversation_key=chat if topic is None else f"{chat}:{topic}",
        sender=str(sender.id),
        text=text,
        reply_to={
            "chat_id": chat,
            "message_id": str(place.message_id),
            **({} if topic is None else {"message_thread_id": str(topic)}),
        },
    )


class _Spoken:
    """A text with what Telegram marked in it."""

    def __init__(self, text: str, entities: Sequence[Entity], bot: Bot) -> None:
        self._units = text.encode("utf-16-le")
        self._entities = entities
        self._bot = bot
        self._name = f"@{bot.username}".lower() if bot.username else None

    @property
    def calls_us(self) -> bool:
        """By our name, or by a command that is not for another bot."""
        return any(self._is_own_mention(entity) or self._is_own_command(entity) for entity in self._entities)

    @property
    def text(self) -> str:
        """What the person says, without our name and without the command before a question.

        A command alone stays as it is: it is all that was said. `/start` is always alone, since what follows it was
        not typed but came with the link that opened the chat.
        """
        said = self._without([one for one in self._entities if self._is_own_mention(one)])
        if not any(one.offset == 0 and self._is_own_command(one) for one in self._entities):
            return said
        word, rest = [*said.split(maxsplit=1), "", ""][:2]
        command = word.partition("@")[0]
        return rest if rest and command != "/start" else command

    def _marked(self, entity: Entity) -> str:
        return self._units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le", "replace")

    def _is_own_mention(self, entity: Entity) -> bool:
        if entity.type == "text_mention":
            return entity.user is not None and entity.user.id == self._bot.id
        return entity.type == "mention" and self._marked(entity).lower() == self._name

    def _is_own_command(self, entity: Entity) -> bool:
        if entity.type != "bot_command":
            return False
        _, at, name = self._marked(entity).partition("@")
        return not at or f"@{name}".lower() == self._name

    def _without(self, entities: Sequence[Entity]) -> str:
        if not entities:
            return self._units.decode("utf-16-le")
        kept = bytearray()
        start = 0
        for entity in sorted(entities, key=lambda one: one.offset):
            kept += self._units[start : 2 * entity.offset]
            start = max(start, 2 * (entity.offset + entity.length))
        kept += self._units[start:]
        return bytes(kept).decode("utf-16-le", "replace").strip()
