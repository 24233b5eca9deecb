"""A person, taken out of everything that is kept: rows, what hangs on them, files, training rows.

Files come first and rows last, so that a run that broke off can be run again and still knows what to look for. What is
printed and kept of it, the receipt, says how much went, never what.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    cast,
    delete,
    func,
    null,
    or_,
    select,
    text,
    true,
    update,
)

from service.errors import StorageError
from service.keeping.traces import MIN_ID, Needles
from service.people.slack import threads_about
from service.storage import tombstones
from service.storage.belonging import add, count_with_all, delete_with_all
from service.storage.database import Database, server_engine
from service.storage.tables import conversations, corrections, handoffs, inbox, metadata, turns, unbound_events

TRIES = 3
"""A reply may be planned while its turn is deleted; then the deletion is refused once."""
PATIENCE_S = 10.0
PART = 500


@dataclass(slots=True)
class Person:
    """What is kept of a contact, before it goes."""

    whole: list[str] = field(default_factory=list)
    """Conversations that are the person's alone."""
    shared: list[str] = field(default_factory=list)
    """Conversations in which others wrote too."""
    turns: list[str] = field(default_factory=list)
    """The person's turns there."""
    messages: list[int] = field(default_factory=list)
    """The person's messages there that no turn has taken up."""
    unbound: list[int] = field(default_factory=list)
    needles: Needles = field(default=Needles(frozenset()))

    @property
    def known(self) -> bool:
        """Whether any row is theirs."""
        return bool(self.whole or self.turns or self.messages or self.unbound)


def written_as(contact: str) -> list[str]:
    """The ways in which platforms write an id: a phone number with and without its plus, blanks and prefix."""
    plain = contact.strip()
    ways = [plain]
    digits = re.sub(r"[\s().-]", "", plain.removeprefix("whatsapp:"))
    if re.fullmatch(r"\+?\d{7,15}", digits):
        number = digits.removeprefix("+")
        ways += [number, f"+{number}", f"whatsapp:+{number}"]
    return list(dict.fromkeys(one for one in ways if one))


async def find(db: Database, contact: str, channel: str | None = None) -> Person:
    """Look up a person by the key of a conversation, the sender of a message, or what a reply is addressed to.

    Args:
        db: Holds the conversations.
        contact: An id as the platform writes it, a conversation's id, or of the widget a visitor's id or
            the user id of somebody who is logged in on the brand's site.
        channel: On this platform only.
    """
    return await db.read(lambda connection: _find(connection, written_as(contact), channel))


async def forget(db: Database, person: Person, *, dry_run: bool = False) -> dict[str, int]:
    """Delete a person's rows in one transaction, and remember by digest what a platform may send again.

    Returns:
        Rows that went (or would), by table; `tombstones` those that were laid.

    Raises:
        StorageUnavailable: The database is locked, full or gone; nothing was deleted.
    """
    if dry_run:
        return await db.read(lambda connection: _count(connection, person))
    for attempt in range(TRIES):
        try:
            return await db.write(lambda connection: _delete(connection, person))
        except StorageError:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def scrub(url: URL) -> bool:
    """Let nothing deleted stay in the database's files; returns whether that worked.

    In SQLite the file is written anew, and its log emptied: others can read meanwhile, and wait to write. In PostgreSQL
    dead rows are given back to be overwritten; its own log and backups keep them for their time.

    Raises:
        StorageError: The database cannot do it.
    """
    if url.get_backend_name() != "sqlite":
        engine = server_engine(url).execution_options(isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                for table in metadata.sorted_tables:
                    await connection.execute(text(f"VACUUM {table.name}"))
        finally:
            await engine.dispose()
        return True
    return _scrub_file(url.database or "")


def _scrub_file(path: str) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_S)) as connection:
            connection.execute("VACUUM")
            until = time.monotonic() + PATIENCE_S
            while True:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return True
                if time.monotonic() > until:
                    return False
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise StorageError(f"The database {path} could not be written anew ({error}). Free some disk.") from error


# --- finding ---------------------------------------------------------------------------------------------------------


def _find(connection: Connection, ways: Sequence[str], channel: str | None) -> Person:
    person = Person()
    person.whole = list(connection.execute(_conversations(ways, channel)).scalars().all())
    person.whole += connection.execute(threads_about(person.whole)).scalars().all()
    mine = _messages(ways, channel)
    rows = connection.execute(select(inbox).where(mine, inbox.c.conversation_id.not_in(person.whole))).all()
    for conversation in dict.fromkeys(row.conversation_id for row in rows):
        theirs = [row for row in rows if row.conversation_id == conversation]
        query = select(func.count()).select_from(inbox).where(inbox.c.conversation_id == conversation)
        if connection.execute(query).scalar_one() == len(theirs):
            person.whole.append(conversation)
            continue
        person.shared.append(conversation)
        person.turns += dict.fromkeys(row.turn_id for row in theirs if row.turn_id)
        person.messages += [row.id for row in theirs if row.turn_id is None]
    person.unbound = _unbound(connection, ways, channel)
    person.needles = _needles(connection, person, ways)
    return person


def _conversations(ways: Sequence[str], channel: str | None) -> Any:
    keys = conversations.c.external_key
    hashes = [hashlib.sha256(one.encode()).hexdigest() for one in ways]
    found: list[ColumnElement[bool]] = [
        keys.in_(ways),
        conversations.c.id.in_(ways),
        conversations.c.visitor_hash.in_(hashes),
        conversations.c.identity.in_(ways),
    ]
    for one in ways:
        # Discord's keys are channel:person, Telegram's person:topic.
        found += [keys.endswith(f":{one}", autoescape=True), keys.startswith(f"{one}:", autoescape=True)]
    return select(conversations.c.id).where(or_(*found), _on(conversations.c.channel, channel))


def _messages(ways: Sequence[str], channel: str | None) -> ColumnElement[bool]:
    addressed = cast(inbox.c.reply_to, Text)
    found: list[ColumnElement[bool]] = [inbox.c.sender.in_(ways)]
    found += [addressed.contains(f'"{one}"', autoescape=True) for one in ways]
    return or_(*found) & _on(inbox.c.channel, channel)


def _unbound(connection: Connection, ways: Sequence[str], channel: str | None) -> list[int]:
    long = [one for one in ways if len(one) >= MIN_ID]
    pattern = Needles(frozenset(), contact=frozenset(long)).pattern()
    if pattern is None:
        return []
    holds = or_(*(unbound_events.c.payload.contains(one, autoescape=True) for one in long))
    query = select(unbound_events.c.id, unbound_events.c.payload).where(holds, _on(unbound_events.c.channel, channel))
    rows = connection.execute(query, execution_options={"yield_per": 50})
    return [row.id for row in rows if pattern.search(row.payload.encode())]


def _on(column: ColumnElement[str], channel: str | None) -> ColumnElement[bool]:
    return column == channel if channel else true()


def _needles(connection: Connection, person: Person, ways: Sequence[str]) -> Needles:
    ids, contact = {*person.whole, *person.turns}, set(ways)
    texts: set[str] = set()
    for part in _parts(person.whole):
        query = select(conversations.c.external_key, conversations.c.identity)
        for names in connection.execute(query.where(conversations.c.id.in_(part))):
            contact |= {one for one in names if one}
    for row in _rows(connection, turns, person):
        ids.add(row.id)
        texts.add(row.question)
    for row in _rows(connection, inbox, person):
        # A platform's own; one that is a plain word is no id to go by.
        ids |= {row.message_id} if any(letter.isdigit() for letter in row.message_id) else set()
        texts |= {row.text, *row.text.split("\n")}
    return Needles(frozenset(ids), frozenset(one.strip() for one in texts), frozenset(contact))


def _rows(connection: Connection, table: Table, person: Person) -> list[Row[Any]]:
    """A person's turns, or messages."""
    ways: list[tuple[ColumnElement[Any], Sequence[Any]]] = [(table.c.conversation_id, person.whole)]
    if table is turns:
        ways.append((turns.c.id, person.turns))
    else:
        ways += [(inbox.c.turn_id, person.turns), (inbox.c.id, person.messages)]
    return [
        row
        for column, keys in ways
        for part in _parts(keys)
        for row in connection.execute(select(table).where(column.in_(part))).all()
    ]


# --- deleting --------------------------------------------------------------------------------------------------------


def _count(connection: Connection, person: Person) -> dict[str, int]:
    counts = count_with_all(connection, conversations, person.whole)
    add(counts, count_with_all(connection, turns, person.turns))
    add(counts, count_with_all(connection, inbox, person.messages))
    if person.unbound:
        add(counts, {unbound_events.name: len(person.unbound)})
    return counts


def _delete(connection: Connection, person: Person) -> dict[str, int]:
    # Locked first: a reply that is being stored now is either there already, or finds its turn gone.
    _lock(connection, conversations, conversations.c.id, [*person.whole, *person.shared])
    _lock(connection, turns, turns.c.conversation_id, person.whole)
    _lock(connection, turns, turns.c.id, person.turns)
    laid = tombstones.lay(connection, _rows(connection, inbox, person))
    counts = delete_with_all(connection, conversations, person.whole)
    add(counts, delete_with_all(connection, turns, person.turns))
    add(counts, delete_with_all(connection, inbox, person.messages))
    for part in _parts(person.unbound):
        connection.execute(delete(unbound_events).where(unbound_events.c.id.in_(part)))
        add(counts, {unbound_events.name: len(part)})
    for part in _parts(person.shared):
        # What explains others' turns quotes what was said before in the same conversation.
        connection.execute(update(turns).where(turns.c.conversation_id.in_(part)).values(evidence=null()))
        connection.execute(update(handoffs).where(handoffs.c.conversation_id.in_(part)).values(summary=null()))
        theirs = select(turns.c.id).where(turns.c.conversation_id.in_(part))
        before = update(corrections).where(corrections.c.turn_id.in_(theirs))
        connection.execute(before.values(history=[], prompt=null()))
    if laid:
        add(counts, {"tombstones": laid})
    return counts


def _lock(connection: Connection, table: Table, column: ColumnElement[str], keys: Sequence[str]) -> None:
    for part in _parts(keys):
        connection.execute(select(table.c.id).where(column.in_(part)).with_for_update()).all()


def _parts(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(keys), PART):
        yield keys[begin : begin + PART]
