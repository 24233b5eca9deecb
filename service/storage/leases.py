"""Which gateway answers which conversation, so that any number of them share one database.

A gateway lives as long as its row in `gateways`. A conversation with something unanswered belongs to one gateway;
`fence` grows whenever that changes. Everything here runs under the lock of the conversation's row, in the transaction
whose work it guards: what a gateway does that was taken for dead meanwhile is refused there, whatever it believes.
See docs/adr/0013.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Row, bindparam, exists, select, update

from service.errors import LeaseLost
from service.storage.database import Database
from service.storage.line import tell
from service.storage.tables import conversations, gateways, inbox, is_running, turns

NOBODY = ""
"""Stands for who is no gateway: a command, a test. Nobody owns what they touch."""


class Membership(Protocol):
    """What a gateway knows of itself."""

    @property
    def id(self) -> str:
        """Its row in `gateways`; another one once it was taken for dead."""
        ...

    def sure(self) -> bool:
        """Whether no other gateway can have taken it for dead yet, by its own clock."""
        ...


class Unshared:
    """Of whoever has the database for themselves."""

    def __init__(self, gateway: str = NOBODY) -> None:
        self._id = gateway

    @property
    def id(self) -> str:
        """Fixed."""
        return self._id

    def sure(self) -> bool:
        """Nobody watches."""
        return True


@dataclass(frozen=True, slots=True)
class Lease:
    """A gateway's hold on a conversation."""

    conversation: str
    gateway: str
    fence: int


def lives(connection: Connection, gateway: str) -> bool:
    """Whether the gateway has not been taken for dead; who was is never alive again."""
    return connection.execute(_LIVES, {"gateway": gateway}).first() is not None


def elsewhere(connection: Connection, conversation: Row[*tuple[Any, ...]], me: str) -> str | None:
    """The other living gateway that has a conversation; its row is locked."""
    holder: str | None = conversation.gateway
    return holder if holder is not None and holder != me and lives(connection, holder) else None


def hold(connection: Connection, conversation: Row[*tuple[Any, ...]], me: str) -> Lease | None:
    """Take a conversation that no other gateway has (`elsewhere`); its row is locked. None for nobody."""
    if me == NOBODY:
        return None
    if conversation.gateway == me:
        return Lease(conversation.id, me, conversation.fence)
    lease = Lease(conversation.id, me, conversation.fence + 1)
    connection.execute(_HOLD, {"conversation": lease.conversation, "holder": me, "next_fence": lease.fence})
    return lease


def require(connection: Connection, lease: Lease) -> None:
    """Lock the conversation's row, and go on only while the lease holds.

    Raises:
        LeaseLost: Another gateway took the conversation over.
    """
    row = connection.execute(_HELD, {"conversation": lease.conversation}).one_or_none()
    if row is None or (row.gateway, row.fence) != (lease.gateway, lease.fence):
        raise LeaseLost("Another gateway answers this conversation now.")


def let_go(connection: Connection, conversation: Row[*tuple[Any, ...]]) -> None:
    """Leave a conversation to whoever comes next, unless something in it is unanswered; its row is locked."""
    if conversation.gateway is not None:
        connection.execute(_LET_GO, {"conversation": conversation.id})


def of_the_dead(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the gateway that a column names does not live; true of no name as well."""
    return column.is_(None) | column.not_in(select(gateways.c.id))


async def pass_on(db: Database, conversation: str, me: str) -> bool:
    """Tell the other gateway that has a conversation that something in it changed; whether there is one."""

    def work(connection: Connection) -> bool:
        row = connection.execute(_HELD, {"conversation": conversation}).one_or_none()
        other = elsewhere(connection, row, me) if row else None
        if other is not None:
            tell(connection, other, {"kind": "news", "conversation": conversation, "wait_s": 0.0, "news": True})
        return other is not None

    return await db.write(work)


async def orphans(db: Database) -> list[str]:
    """Conversations that belong to gateways that do not live."""
    query = select(conversations.c.id).where(
        conversations.c.gateway.is_not(None), conversations.c.gateway.not_in(select(gateways.c.id))
    )
    return list(await db.read(lambda connection: connection.execute(query).scalars().all()))


async def held_by(db: Database, gateway: str) -> list[str]:
    """Conversations that belong to one gateway."""
    query = select(conversations.c.id).where(conversations.c.gateway == gateway)
    return list(await db.read(lambda connection: connection.execute(query).scalars().all()))


async def holder(db: Database, conversation: str) -> str | None:
    """The gateway that has a conversation, alive or dead; None where nothing is unanswered."""
    query = select(conversations.c.gateway).where(conversations.c.id == conversation)
    return await db.read(lambda connection: connection.execute(query).scalar_one_or_none())


# --- statements, made once: making one takes longer than carrying it out ---------------------------------------------

_LIVES = select(gateways.c.id).where(gateways.c.id == bindparam("gateway"))
_THIS = conversations.c.id == bindparam("conversation")
_HELD = select(conversations.c.gateway, conversations.c.fence).where(_THIS).with_for_update()
_HOLD = update(conversations).where(_THIS).values(gateway=bindparam("holder"), fence=bindparam("next_fence"))
# A statement of its own after the lock was taken: in PostgreSQL only such a one sees what was accepted meanwhile.
_LET_GO = (
    update(conversations)
    .where(
        _THIS,
        ~exists().where(inbox.c.conversation_id == conversations.c.id, inbox.c.turn_id.is_(None), ~inbox.c.withdrawn),
        ~exists().where(turns.c.conversation_id == conversations.c.id, is_running),
    )
    .values(gateway=None)
)
