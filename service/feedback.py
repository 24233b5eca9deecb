"""Thumbs up and down."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import delete, select

from service.database import Database, now, whole
from service.errors import ConversationUnknown
from service.tables import feedback, turns


@whole
async def set_feedback(db: Database, turn: str, value: Literal["up", "down"] | None, *, conversation_id: str) -> None:
    """Keep the latest thumb of a turn; None takes it back.

    Raises:
        ConversationUnknown: The turn is not one of this conversation.
    """
    async with db.begin() as connection:
        query = select(turns.c.id).where(turns.c.id == turn, turns.c.conversation_id == conversation_id)
        if (await connection.execute(query)).scalar_one_or_none() is None:
            raise ConversationUnknown("There is no such turn in this conversation.")
        await connection.execute(delete(feedback).where(feedback.c.turn_id == turn))
        if value:
            await connection.execute(feedback.insert().values(turn_id=turn, value=value, at=now()))
