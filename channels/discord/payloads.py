"""What Discord posts to us: interactions, of which the slash command speaks to us.

Source: discord.com/developers/docs/interactions/receiving-and-responding, and the examples on it and on the page on
application commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from channels.base import Answer, Inbound, InboundMessage
from channels.errors import PayloadInvalid
from channels.payloads import Id, Loose, load_object


class Kind(IntEnum):
    """Of an interaction."""

    PING = 1
    COMMAND = 2
    BUTTON = 3
    AUTOCOMPLETE = 4
    MODAL = 5


SLASH_COMMAND = 1
"""Among commands, the one that is typed."""
STRING_OPTION = 3
QUESTION = "question"
"""The option that is asked for first; where there is none of this name, the first text is taken."""

OTHER_COMMANDS = {2: "user_command", 3: "message_command"}

IGNORED_REASONS = frozenset(
    {*OTHER_COMMANDS.values(), "autocomplete", "button", "modal", "other_command", "other_interaction"}
)
"""All reasons there are: they become metric labels, so none holds a word of the payload."""

Snowflake = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
"""Discord's ids: 64 bits, written as text."""

MAX_DEPTH = 3
"""Options lie in a command, in a group of commands, or in a command of a group."""


def _answer(kind: int, **more: object) -> Answer:
    return Answer(json.dumps({"type": kind, **more}, separators=(",", ":")).encode(), "application/json")


PONG = _answer(1)
DEFERRED = _answer(5)
"""The person reads that we are thinking, until the answer replaces it."""
NOTHING_CHANGES = _answer(6)
"""Ends the wait after a pressed button."""
NO_CHOICES = _answer(8, data={"choices": []})


class User(Loose):
    """A person."""

    id: Snowflake


class Member(Loose):
    """A person on a server."""

    user: User


class Interaction(Loose):
    """What a person did with our application."""

    id: Snowflake
    application_id: Snowflake
    token: Id
    channel_id: Snowflake | None = None
    member: Member | None = None
    person: User | None = Field(default=None, alias="user")
    """In place of `member` in direct messages."""

    @property
    def sender(self) -> str:
        """Who did it."""
        user = self.member.user if self.member else self.person
        if user is None:
            raise PayloadInvalid("The Discord interaction names no user. Look at what was sent.")
        return user.id


def parse_body(body: bytes) -> Inbound:
    """One verified body.

    Raises:
        PayloadInvalid: Not JSON, or not of the shape of its kind.
    """
    payload = load_object(body)
    kind = payload.get("type")
    if not isinstance(kind, int) or isinstance(kind, bool):
        raise PayloadInvalid("The body has no type as Discord's interactions do. Look at what was sent.")
    match kind:
        case Kind.PING:
            return Inbound(answer=PONG)
        case Kind.COMMAND:
            return _command(payload)
        case Kind.BUTTON:
            return Inbound(answer=NOTHING_CHANGES, ignored=("button",))
        case Kind.AUTOCOMPLETE:
            return Inbound(answer=NO_CHOICES, ignored=("autocomplete",))
        case Kind.MODAL:
            return Inbound(ignored=("modal",))
        case _:
            return Inbound(ignored=("other_interaction",))


def _command(payload: Mapping[str, Any]) -> Inbound:
    data = payload.get("data")
    if not isinstance(data, dict):
        raise PayloadInvalid("The Discord command carries no data. Look at what was sent.")
    # Absent in none of Discord's own, but a type that is no number must not be taken for one.
    kind = data.get("type")
    if kind != SLASH_COMMAND or isinstance(kind, bool):
        reason = OTHER_COMMANDS.get(kind, "other_command") if isinstance(kind, int) else "other_command"
        return Inbound(ignored=(reason,))
    try:
        interaction = Interaction.model_validate(payload)
    except ValidationError as error:
        # The fields at fault, without their values: those may be a customer's words.
        fields = ", ".join(".".join(str(step) for step in fault["loc"]) for fault in error.errors()[:5])
        raise PayloadInvalid(f"The Discord command is not of the known shape: {fields}. Look at what was sent.") from (
            error
        )
    said = list(_strings(data.get("options")))
    text = dict(reversed(said)).get(QUESTION, said[0][1] if said else "")
    message = InboundMessage(
        channel="discord",
        account=interaction.application_id,
        message_id=interaction.id,
        conversation_key=f"{interaction.channel_id or 'direct'}:{interaction.sender}",
        sender=interaction.sender,
        text=text,
        reply_to={"interaction_id": interaction.id, "token": interaction.token},
    )
    return Inbound(messages=(message,), answer=DEFERRED)


def _strings(options: Any, depth: int = MAX_DEPTH) -> Iterator[tuple[str, str]]:
    """Name and value of each option that is a text, in their order."""
    for option in options if isinstance(options, list) else ():
        if not isinstance(option, dict):
            continue
        name, value = option.get("name"), option.get("value")
        if option.get("type") == STRING_OPTION and isinstance(name, str) and isinstance(value, str):
            yield name, value
        elif depth > 1:
            yield from _strings(option.get("options"), depth - 1)
