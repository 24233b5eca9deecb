"""What Microsoft posts for Teams: one activity of the Bot Framework a request.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference, "Activity object",
and learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from channels.base import Answer, Inbound, InboundMessage
from channels.errors import PayloadInvalid
from channels.payloads import Id, Loose, load_object

CHANNEL_ID = "msteams"

IGNORED_TYPES = {
    "conversationUpdate": "conversation_update",
    "endOfConversation": "conversation_update",
    "event": "event",
    "installationUpdate": "installation",
    "invoke": "invoke",
    "messageDelete": "message_deleted",
    "messageReaction": "reaction",
    "messageUpdate": "message_changed",
    "typing": "typing",
}
"""Types that are no new message of a person."""

IGNORED_REASONS = frozenset(
    {*IGNORED_TYPES.values(), "bot_message", "not_addressed", "other_activity", "other_platform", "own_message"}
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""

BOT_PREFIX = "28:"
"""Ids of bots begin with it, those of people with `29:`. Source: Teams' page on bot conversations."""

THREAD_MARK = ";messageid="
"""Stands in the id of a channel's conversation before the id of the post that began the thread."""


class Head(Loose):
    """What kind of activity it is, and from which platform of Microsoft's."""

    type: str
    channel_id: str | None = Field(default=None, alias="channelId")


class Party(Loose):
    """A person or a bot."""

    id: Id
    name: str | None = None
    role: str | None = None


class Conversation(Loose):
    """Where it was said."""

    id: Id
    kind: str | None = Field(default=None, alias="conversationType")
    tenant: Id | None = Field(default=None, alias="tenantId")


class Tenant(Loose):
    """An organisation's directory."""

    id: Id


class ChannelData(Loose):
    """What only Teams says."""

    tenant: Tenant | None = None


class Mention(Loose):
    """An entity of a message that stands for someone named in its text."""

    type: Literal["mention"]
    mentioned: Party
    text: str = ""


class Message(Loose):
    """A message of a person."""

    id: Id
    channel_id: Literal["msteams"] = Field(alias="channelId")
    service_url: Id = Field(alias="serviceUrl")
    sender: Party = Field(alias="from")
    recipient: Party
    conversation: Conversation
    channel_data: ChannelData | None = Field(default=None, alias="channelData")
    reply_to_id: Id | None = Field(default=None, alias="replyToId")
    text: str | None = None
    entities: Any = None

    @property
    def account(self) -> str:
        """The organisation it was written in."""
        data = self.channel_data
        tenant = self.conversation.tenant or (data.tenant.id if data is not None and data.tenant is not None else None)
        if tenant is None:
            raise PayloadInvalid("The Teams message names no tenant, so no brand can be chosen for it.")
        return tenant

    @property
    def mentions(self) -> tuple[Mention, ...]:
        """Who is named in the text; entities of another kind or shape say nothing of that."""
        found = []
        for entity in self.entities if isinstance(self.entities, list) else ():
            try:
                found.append(Mention.model_validate(entity))
            except ValidationError:
                continue
        return tuple(found)


def parse_body(body: bytes) -> Inbound:
    """One verified body.

    Raises:
        PayloadInvalid: Not JSON, or not an activity.
    """
    payload = load_object(body)
    try:
        head = Head.model_validate(payload)
        if head.channel_id not in (None, CHANNEL_ID):
            # Such as Direct Line, whose tenant is what its client says.
            return Inbound(ignored=("other_platform",))
        if head.type != "message":
            return _no_message(head.type)
        message = Message.model_validate(payload)
    except ValidationError as error:
        # The fields at fault, without their values: those may be a customer's words.
        fields = ", ".join(".".join(str(step) for step in fault["loc"]) for fault in error.errors()[:5])
        raise PayloadInvalid(f"The activity is not of the known shape: {fields}. Look at what was sent.") from error
    reason = _why_ignored(message)
    return Inbound(ignored=(reason,)) if reason else Inbound(messages=(_message(message),))


def service_url(body: bytes) -> tuple[str, str]:
    """The serviceUrl and the channelId that a body names; empty where it names none.

    Raises:
        PayloadInvalid: Not a JSON object.
    """
    payload = load_object(body)
    url, channel = payload.get("serviceUrl"), payload.get("channelId")
    return url if isinstance(url, str) else "", channel if isinstance(channel, str) else ""


def _no_message(kind: str) -> Inbound:
    # Teams shows an error for an invoke whose answer has no body; an empty object says that there is nothing to do.
    answer = Answer(b"{}", "application/json") if kind == "invoke" else None
    return Inbound(answer=answer, ignored=(IGNORED_TYPES.get(kind, "other_activity"),))


def _why_ignored(message: Message) -> str | None:
    if message.sender.id == message.recipient.id:
        return "own_message"
    if message.sender.role == "bot" or message.sender.id.startswith(BOT_PREFIX):
        return "bot_message"
    shared = message.conversation.kind in ("channel", "groupChat")
    if shared and all(mention.mentioned.id != message.recipient.id for mention in message.mentions):
        # An app with leave to read a whole channel gets what was not said to it.
        return "not_addressed"
    return None


def _message(message: Message) -> InboundMessage:
    conversation = message.conversation.id
    if message.conversation.kind == "channel" and THREAD_MARK not in conversation:
        # A thread is told by the post that began it, which is this one where it answers none.
        conversation = f"{conversation}{THREAD_MARK}{message.reply_to_id or message.id}"
    return InboundMessage(
        channel="teams",
        account=message.account,
        # Activity ids are times in milliseconds: unique in their conversation only.
        message_id=f"{conversation}:{message.id}",
        conversation_key=f"{message.account}:{conversation}",
        sender=message.sender.id,
        text=_text(message),
        reply_to={
            "service_url": message.service_url,
            "conversation": conversation,
            "activity": message.id,
            "bot": message.recipient.id,
            "person": message.sender.id,
        },
    )


def _text(message: Message) -> str:
    """What the person wrote, without the mention that called us; others' mentions as @name."""
    text = message.text or ""
    for mention in message.mentions:
        if not mention.text.startswith("<at"):
            continue
        name = mention.mentioned.name or ""
        text = text.replace(mention.text, "" if mention.mentioned.id == message.recipient.id else f"@{name}")
    return text.strip()
