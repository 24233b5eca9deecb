"""Words that no turn of the bot made, put into the transcript: a customer's to a person, a person's, a notice of ours.

Each function is part of a transaction that holds the conversation's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from channels.base import FURTHER
from configs.brand import Brand
from service.conversation.house import House
from service.delivery.outbox import OutboxItem, insert_item
from service.storage.database import now, storable
from service.storage.ids import fresh_id
from service.storage.tables import inbox, outbox, turns


@dataclass(frozen=True, slots=True)
class Said:
    """Words that no question led to: a person's, or a notice of ours."""

    turn: str
    text: str
    author: str | None
    at: datetime
    repeated: bool = False
    """It was said before, under the same id."""


def heard_turn(connection: Connection, conversation: str, waiting: Sequence[Any]) -> str:
    """A turn of a customer's messages that no bot answers; returns its id."""
    question = "\n".join(row.text for row in waiting if row.text)
    turn = new_turn(connection, conversation, question=question, state="heard")
    ids = [row.id for row in waiting]
    connection.execute(update(inbox).where(inbox.c.id.in_(ids)).values(turn_id=turn))
    return turn


def say(
    connection: Connection, about: Row[Any], text: str, *, author: str | None, key: str | None, house: House
) -> Said:
    """Words into the transcript, and to the platform where the conversation is on one."""
    turn = new_turn(connection, about.id, text=storable(text), state="done", author=author, key=key)
    if about.channel != "web":
        item = OutboxItem(
            channel=about.channel,
            app=app_of(house.brands.get(about.brand), about.channel, about.account),
            account=about.account,
            reply_to=_reply_to(connection, about.id),
            text=text,
            sources=(),
        )
        connection.execute(insert_item(turn, item))
    return Said(turn, text, author, now())


def _reply_to(connection: Connection, conversation: str) -> dict[str, str]:
    """Where the customer's newest message wants its answer, and whether it has had one."""
    newest = select(inbox.c.reply_to).where(inbox.c.conversation_id == conversation).order_by(inbox.c.id.desc())
    where: dict[str, str] = connection.execute(newest.limit(1)).scalar_one_or_none() or {}
    said = (
        select(outbox.c.reply_to)
        .join(turns, turns.c.id == outbox.c.turn_id)
        .where(turns.c.conversation_id == conversation, outbox.c.state != "withheld")
        .order_by(turns.c.number.desc())
    )
    last: dict[str, str] = connection.execute(said.limit(1)).scalar_one_or_none() or {}
    again = {key: value for key, value in last.items() if key != FURTHER} == where
    return {**where, FURTHER: "yes"} if again else where


def app_of(brand: Brand | None, channel: str, account: str) -> str:
    """The app that a conversation came through; none for the widget, or where the brand is no longer bound to it."""
    bound = brand.channels if brand else ()
    return next((one.app for one in bound if (one.channel, one.account) == (channel, account)), "")


def new_turn(
    connection: Connection,
    conversation: str,
    *,
    question: str = "",
    text: str = "",
    state: str,
    author: str | None = None,
    key: str | None = None,
) -> str:
    """A turn that is over already; returns its id."""
    turn = fresh_id()
    row = {"id": turn, "conversation_id": conversation, "number": last_number(connection, conversation) + 1}
    row |= {"question": question, "text": text, "state": state, "citations": [], "author": author}
    row |= {"author_key": storable(key) if key else None, "created_at": now(), "finished_at": now()}
    connection.execute(turns.insert(), row)
    return turn


def last_number(connection: Connection, conversation: str) -> int:
    """Of the last turn."""
    return int(connection.execute(_LAST_NUMBER, {"conversation": conversation}).scalar_one())


# Made once: making a statement takes longer than carrying it out.
_LAST_NUMBER = select(func.coalesce(func.max(turns.c.number), 0)).where(
    turns.c.conversation_id == bindparam("conversation")
)
