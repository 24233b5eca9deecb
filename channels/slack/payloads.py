"""What Slack posts to us: Events API bodies, and the forms of commands and pressed buttons.

Source: docs.slack.dev/apis/events-api, and the recorded bodies of Slack's own Bolt tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from channels.base import Answer, Edit, Inbound, InboundMessage, Rating, Reaction, Removal
from channels.errors import PayloadInvalid
from channels.payloads import Id, Loose, load_form, load_object
from channels.slack.rendering import THUMBS, escape, plain_text

PEOPLE_SUBTYPES = frozenset({"", "file_share", "thread_broadcast", "me_message"})
"""Subtypes under which people post; dropping every subtype would lose their pictures and broadcasts."""

CHANGES = frozenset({"message_changed", "message_deleted"})
"""Subtypes that tell of an earlier message; ignored under their own name where nothing that we read has changed."""

REACTIONS: Mapping[str, Literal["up", "down"]] = {"+1": "up", "thumbsup": "up", "-1": "down", "thumbsdown": "down"}
"""Emoji that are thumbs, by Slack's names, which a skin tone may follow."""

IGNORED_REASONS = frozenset(
    {
        *CHANGES,
        "app_rate_limited",
        "app_removed",
        "bot_message",
        "hidden",
        "interaction",
        "not_addressed",
        "other_event",
        "other_subtype",
        "own_message",
        "reaction",
        "tokens_kept",
    }
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""


class Authorization(Loose):
    """The installation that an event is for."""

    team_id: Id | None = None
    enterprise_id: Id | None = None
    user_id: Id | None = None
    is_bot: bool = False
    is_enterprise_install: bool = False

    @property
    def account(self) -> str | None:
        """Whose installation it is: a workspace's, or an organisation's that has it for all its workspaces."""
        return self.enterprise_id if self.is_enterprise_install and self.enterprise_id else self.team_id


class Callback(Loose):
    """The outside of an event."""

    team_id: Id | None = None
    event_time: float = 0.0
    authorizations: tuple[Authorization, ...] = ()
    authed_users: tuple[str, ...] = ()
    event: dict[str, Any]

    @property
    def account(self) -> str:
        """The workspace or organisation whose installation gets this event.

        In a channel shared between companies the event may name the author's team; the brand is the installation's.
        """
        team = (self.authorizations[0].account if self.authorizations else None) or self.team_id
        if team is None:
            raise PayloadInvalid("The Slack event names no team, so no brand can be chosen for it.")
        return team


class Revoked(Loose):
    """Tokens that are good for nothing any more: lists of user ids."""

    bot: tuple[str, ...] = ()


class Revocation(Loose):
    """A `tokens_revoked` event."""

    tokens: Revoked = Revoked()


class Command(Loose):
    """A slash command."""

    team_id: Id | None = None
    enterprise_id: Id | None = None
    is_enterprise_install: str = "false"
    user_id: Id
    channel_id: Id
    text: str = ""
    trigger_id: Id
    response_url: Id


class Team(Loose):
    """A workspace."""

    id: Id


class Container(Loose):
    """Where the pressed button stands."""

    message_ts: Id | None = None
    channel_id: Id | None = None
    is_ephemeral: bool = False


class Action(Loose):
    """One press of a button."""

    action_id: str = ""
    value: str = ""


class Actions(Loose):
    """A `block_actions` interaction."""

    team: Team | None = None
    enterprise: Team | None = None
    is_enterprise_install: bool = False
    container: Container = Container()
    response_url: str = ""
    actions: tuple[Action, ...]


class EventHead(Loose):
    """What kind of event it is."""

    type: str
    subtype: str | None = None


class Post(Loose):
    """A message inside an event that tells of it."""

    subtype: str | None = None
    bot_id: str | None = None
    user: Id | None = None
    ts: Id | None = None
    text: str | None = None


class ChangeEvent(EventHead):
    """A `message_changed` or `message_deleted` event."""

    channel: Id
    message: Post | None = None
    previous_message: Post | None = None
    deleted_ts: Id | None = None


class Item(Loose):
    """What a person reacted to."""

    type: str
    channel: Id | None = None
    ts: Id | None = None


class ReactionEvent(EventHead):
    """A `reaction_added` or `reaction_removed` event."""

    reaction: str
    item: Item


class MessageEvent(EventHead):
    """A `message` or `app_mention` event."""

    hidden: bool = False
    bot_id: str | None = None
    user: Id | None = None
    channel: Id
    channel_type: str | None = None
    ts: Id
    thread_ts: Id | None = None
    text: str | None = None
    edited: dict[str, Any] | None = None
    user_profile: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The author's, which Slack sends along with some messages only."""
        profile = self.user_profile or {}
        names = (profile.get(key) for key in ("display_name", "real_name", "name"))
        return next((one.strip() for one in names if isinstance(one, str) and one.strip()), "")

    @property
    def is_direct(self) -> bool:
        """Whether it stands in a direct message.

        app_mention carries no channel_type; the ids of direct messages begin with D.
        """
        return self.channel_type == "im" or (self.channel_type is None and self.channel.startswith("D"))


def parse_body(body: bytes) -> Inbound:
    """One verified body.

    Raises:
        PayloadInvalid: Neither JSON nor a form of Slack's, or not of the shape of its kind.
    """
    if not body.lstrip().startswith(b"{"):
        return _form(body)
    payload = load_object(body)
    match payload.get("type"):
        case "url_verification":
            return Inbound(answer=_challenge(payload))
        case "event_callback":
            return _event(payload)
        case "app_rate_limited":
            return Inbound(ignored=("app_rate_limited",))
        case str():
            return Inbound(ignored=("other_event",))
        case _:
            raise PayloadInvalid("The Slack body has no type. Point Slack's Event Subscriptions at this address.")


def _form(body: bytes) -> Inbound:
    """Slash commands and interactivity arrive as forms."""
    fields = load_form(body)
    try:
        if "command" in fields:
            return _command(Command.model_validate(fields))
        if "payload" in fields:
            return _interaction(load_object(fields["payload"].encode()))
    except ValidationError as error:
        raise _misshapen(error) from error
    raise PayloadInvalid("The Slack body is neither JSON nor a command or interaction. Look at what was sent.")


def _command(command: Command) -> Inbound:
    """A question that only its asker sees, as they alone see the answer: it goes to the command's own address."""
    grid = command.enterprise_id if command.is_enterprise_install == "true" else None
    account = grid or command.team_id
    if account is None:
        raise PayloadInvalid("The Slack command names no team, so no brand can be chosen for it.")
    text = plain_text(command.text, own_ids=frozenset(), addressed=False)
    message = InboundMessage(
        channel="slack",
        account=account,
        message_id=f"{command.channel_id}:{command.trigger_id}",
        conversation_key=f"{account}:{command.channel_id}:command:{command.user_id}",
        sender=command.user_id,
        text=text,
        reply_to={"channel": command.channel_id, "response_url": command.response_url},
    )
    # In no language: what was asked, and that it is being worked on.
    shown = {"response_type": "ephemeral", "text": "\n".join(f"> {line}" for line in escape(text)[:2000].split("\n"))}
    shown["text"] += "\n:hourglass_flowing_sand:"
    return Inbound(messages=(message,), answer=Answer(json.dumps(shown).encode(), "application/json"))


def _interaction(payload: dict[str, Any]) -> Inbound:
    if payload.get("type") != "block_actions":
        return Inbound(ignored=("interaction",))
    pressed = Actions.model_validate(payload)
    grid = pressed.enterprise if pressed.is_enterprise_install else None
    owner, place = grid or pressed.team, pressed.container
    where: dict[str, str] = {}
    if place.is_ephemeral:
        where = {"response_url": pressed.response_url} if pressed.response_url else {}
    elif place.channel_id and place.message_ts:
        where = {"channel": place.channel_id, "ts": place.message_ts}
    # Other buttons than ours stand under messages that an operator wrote by other means.
    ratings = tuple(
        Rating(owner.id, action.value, THUMBS[action.action_id], where)
        for action in pressed.actions
        if owner and action.action_id in THUMBS and action.value
    )
    return Inbound(ratings=ratings) if ratings else Inbound(ignored=("interaction",))


def _misshapen(error: ValidationError) -> PayloadInvalid:
    # The fields at fault, without their values: those may be a customer's words.
    fields = ", ".join(".".join(str(step) for step in fault["loc"]) for fault in error.errors()[:5])
    return PayloadInvalid(f"What Slack sent is not of the known shape: {fields}. Look at what was sent.")


def _challenge(payload: dict[str, Any]) -> Answer:
    challenge = payload.get("challenge")
    if not isinstance(challenge, str):
        raise PayloadInvalid("Slack's url_verification carries no challenge. Save the request URL in the app again.")
    return Answer(challenge.encode())


def _event(payload: dict[str, Any]) -> Inbound:
    try:
        callback = Callback.model_validate(payload)
        # Events of other types have other fields under the same names, and edits too: they are told by these two
        # words before anything else is read.
        head = EventHead.model_validate(callback.event)
        if head.type == "tokens_revoked" and not Revocation.model_validate(callback.event).tokens.bot:
            # A person's own token, of which we have none.
            return Inbound(ignored=("tokens_kept",))
        if head.type in {"app_uninstalled", "tokens_revoked"}:
            return Inbound(removals=(Removal(callback.account, callback.event_time),), ignored=("app_removed",))
        if head.type in {"reaction_added", "reaction_removed"}:
            return _reaction(callback, ReactionEvent.model_validate(callback.event))
        if head.type not in {"message", "app_mention"}:
            return Inbound(ignored=("other_event",))
        if head.subtype == "bot_message":
            return Inbound(ignored=("bot_message",))
        if head.subtype in CHANGES:
            return _change(callback, ChangeEvent.model_validate(callback.event))
        event = MessageEvent.model_validate(callback.event)
    except ValidationError as error:
        raise _misshapen(error) from error
    return _post(callback, event)


def _post(callback: Callback, event: MessageEvent) -> Inbound:
    reason = _why_ignored(callback, event)
    if reason == "not_addressed" and event.thread_ts and event.user:
        return Inbound(overheard=(_message(callback, event),), ignored=(reason,))
    if reason:
        return Inbound(ignored=(reason,))
    message = _message(callback, event)
    if event.edited is None:
        return Inbound(messages=(message,))
    # Sent when a mention is edited, be it that we were mentioned before or only now.
    return Inbound(messages=(message,), edits=(Edit(message.account, message.message_id, message.text),))


def _change(callback: Callback, event: ChangeEvent) -> Inbound:
    """A person's new text, or none; pages shown below a link and replies in a thread change a message too."""
    after, before = event.message, event.previous_message
    gone = event.subtype == "message_deleted" or (after is not None and after.subtype == "tombstone")
    about = before if gone or after is None else after
    ts = event.deleted_ts or (about.ts if about else None)
    same = not gone and after is not None and before is not None and after.text == before.text
    own = {each.user_id for each in callback.authorizations if each.is_bot}
    if about is None or ts is None or same or about.bot_id or about.user in own:
        return Inbound(ignored=(str(event.subtype),))
    text = None if gone else plain_text(about.text or "", own_ids=_own_ids(callback), addressed=False)
    return Inbound(edits=(Edit(callback.account, f"{event.channel}:{ts}", text),))


def _reaction(callback: Callback, event: ReactionEvent) -> Inbound:
    value = REACTIONS.get(event.reaction.partition("::")[0])
    if value is None or event.item.type != "message" or not (event.item.channel and event.item.ts):
        return Inbound(ignored=("reaction",))
    said = value if event.type == "reaction_added" else None
    return Inbound(reactions=(Reaction(callback.account, f"{event.item.channel}:{event.item.ts}", said),))


def _own_ids(callback: Callback) -> frozenset[str]:
    """User ids of ours.

    authed_users is the older form of authorizations and may name people too: good for taking out a mention that called
    us, never for deciding that a message is our own.
    """
    own = {each.user_id for each in callback.authorizations if each.is_bot and each.user_id}
    return frozenset(own or callback.authed_users)


def _why_ignored(callback: Callback, event: MessageEvent) -> str | None:
    own = {each.user_id for each in callback.authorizations if each.is_bot}
    if event.hidden:
        return "hidden"
    if event.bot_id or event.user == "USLACKBOT":
        return "bot_message"
    if event.user in own and event.user is not None:
        return "own_message"
    if (event.subtype or "") not in PEOPLE_SUBTYPES:
        return "other_subtype"
    if event.type == "message" and not event.is_direct:
        return "not_addressed"
    return None


def _message(callback: Callback, event: MessageEvent) -> InboundMessage:
    if event.user is None:
        raise PayloadInvalid("The Slack message names no user, so it cannot be told from an echo of a bot.")
    account = callback.account
    if event.is_direct:
        key = f"{account}:{event.channel}"
        thread = event.thread_ts
    else:
        thread = event.thread_ts or event.ts
        key = f"{account}:{event.channel}:{thread}"
    # The last is where a look-up for the answer begins.
    reply_to = {"channel": event.channel} | ({"thread_ts": thread} if thread else {}) | {"asked": event.ts}
    return InboundMessage(
        channel="slack",
        account=account,
        # Not event_id: one post of a person that mentions us may come as app_mention and as message, which are two
        # events; channel and ts name the post itself, and stay the same when Slack delivers it again.
        message_id=f"{event.channel}:{event.ts}",
        conversation_key=key,
        sender=event.user,
        text=plain_text(event.text or "", own_ids=_own_ids(callback), addressed=event.type == "app_mention"),
        reply_to=reply_to,
        name=event.name,
    )
