"""What hand-overs must know of a deployment: its brands, and who notes what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection

from configs.brand import Brand

EventKind = Literal["handoff.opened", "handoff.taken", "handoff.closed", "message.received", "message.heard"]
"""`message.heard`: a customer wrote, and no person has the conversation."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that people outside may want to know; it holds no customer's words."""

    kind: EventKind
    conversation: str
    brand: str
    handoff: str | None = None
    turn: str | None = None
    """Whose question holds the message, or that led to the hand-over."""
    by: str | None = None
    """The person, where one did it."""


Tell = Callable[[Connection, Event], None]
"""Notes an event in the transaction that makes it, so that neither is there without the other."""


@dataclass(frozen=True, slots=True)
class House:
    """What hand-overs must know of a deployment."""

    brands: Mapping[str, Brand] = field(default_factory=dict)
    tells: tuple[Tell, ...] = ()

    def answers_while_waiting(self, brand: str) -> bool:
        """Whether the bot speaks until a person comes."""
        known = self.brands.get(brand)
        return known is not None and known.handover.while_waiting == "answer"

    def tell(self, connection: Connection, event: Event) -> None:
        """Let everyone note it who wants to."""
        for one in self.tells:
            one(connection, event)


NO_HOUSE = House()
"""Without brands and without anybody who notes."""
