"""Thumbs up and down."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, delete, select

from service.errors import ConversationUnknown
from service.storage.database import Database, now
from service.storage.tables import feedback, turns


def keep(connection: Connection, turn: str, value: Literal["up", "down"] | None) -> None:
    """The latest thumb of a turn takes an earlier one's place; None takes it back."""
    connection.execute(delete(feedback).where(feedback.c.turn_id == turn))
    if value:
        connection.execute(feedback.insert(), {"turn_id": turn, "value": value, "at": now()})


async def set_feedback(db: Database, turn: str, value: Literal["up", "down"] | None, *, conversation_id: str) -> None:
    """Keep the latest thumb of a turn; None takes it back.

    Raises:
        ConversationUnknown: The turn is not one of this conversation.
    """

    def store(connection: Connection) -> None:
        query = select(turns.c.id).where(turns.c.id == turn, turns.c.conversation_id == conversation_id)
        if connection.execute(query).scalar_one_or_none() is None:
            raise ConversationUnknown("There is no such turn in this conversation.")
        keep(connection, turn, value)

    await db.write(store)
