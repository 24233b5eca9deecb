"""An operator's own message to a person who wrote: by the outbox, as every reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from channels.base import OutboundReply, Template
from service.conversation.transcript import new_turn
from service.delivery.outbox import OutboxItem, insert_item
from service.storage.database import Database
from service.storage.tables import conversations, inbox, outbox

ASIDE = "aside"
"""State of the turn that carries such a message: it answers no question, and no later prompt holds it."""
LOOKED_THROUGH = 5000
"""Messages of an account in which a person is looked for by an address of theirs, newest first."""


@dataclass(frozen=True, slots=True)
class Whom:
    """A person who wrote."""

    conversation: str
    brand: str
    account: str
    reply_to: Mapping[str, str]
    """Of their newest message."""
    heard_at: datetime
    """When that came."""


async def find(db: Database, *, brand: str, channel: str, account: str, who: str) -> Whom | None:
    """The conversation of a person.

    Args:
        db: Holds the messages.
        brand: As whom the account speaks.
        channel: Where they wrote.
        account: To whom they wrote.
        who: Their id, or an address of theirs, such as a phone number: whatever their messages are answered by.
    """
    key = {"brand": brand, "channel": channel, "account": account}

    def look(connection: Connection) -> Whom | None:
        newest = connection.execute(_NEWEST_OF, key | {"who": who, "most": 1}).all()
        for row in newest or connection.execute(_NEWEST, key | {"most": LOOKED_THROUGH}).all():
            if who == row.external_key or who in (row.reply_to.get("to"), row.reply_to.get("recipient")):
                return Whom(row.conversation_id, brand, account, row.reply_to, row.received_at)
        return None

    return await db.read(look)


def as_reply(whom: Whom, text: str, *, at: datetime, template: Template | None) -> OutboundReply:
    """The message as a channel renders it."""
    return OutboundReply(
        whom.account,
        whom.reply_to,
        text,
        "dry-run",
        since_heard_s=(at - whom.heard_at).total_seconds(),
        template=template,
    )


async def plan(db: Database, whom: Whom, *, channel: str, app: str, text: str) -> str:
    """Put the message into the outbox; a running gateway sends it, after what waits for the same person.

    Returns:
        The id of its turn.
    """

    def store(connection: Connection) -> str:
        connection.execute(_LOCKED, {"conversation": whom.conversation})
        turn = new_turn(connection, whom.conversation, text=text, state=ASIDE)
        connection.execute(insert_item(turn, OutboxItem(channel, app, whom.account, whom.reply_to, text, ())))
        return turn

    return await db.write(store)


async def outcome(db: Database, turn: str) -> tuple[str, str, list[str]]:
    """State of the message, the last trouble with it, and the platform's ids."""
    query = select(outbox.c.state, outbox.c.last_error, outbox.c.provider_ids).where(outbox.c.turn_id == turn)
    row = await db.read(lambda connection: connection.execute(query).one())
    return row.state, row.last_error or "", list(row.provider_ids)


_NEWEST = (
    select(inbox.c.conversation_id, inbox.c.reply_to, inbox.c.received_at, conversations.c.external_key)
    .join(conversations, conversations.c.id == inbox.c.conversation_id)
    .where(*(conversations.c[name] == bindparam(name) for name in ("brand", "channel", "account")))
    .order_by(inbox.c.id.desc())
    .limit(bindparam("most"))
)
_NEWEST_OF = _NEWEST.where(conversations.c.external_key == bindparam("who"))
_LOCKED = select(conversations.c.id).where(conversations.c.id == bindparam("conversation")).with_for_update()
