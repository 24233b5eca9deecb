"""Sessions of signed-in people: a random token in a cookie, its digest in the database.

They end after some hours without a request, after some days in any case, at sign-out, and when the person changes the
password or is disabled. Source: OWASP ASVS 5.0, chapter 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from service.console.people.accounts import person_of
from service.console.people.tokens import csrf_of, digest, new_token
from service.console.person import Person
from service.storage.database import now
from service.storage.people_tables import person_sessions as table

COOKIE = "brandvoice_session"
IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last request is known; each write waits for the disk."""


@dataclass(frozen=True, slots=True)
class Open:
    """A session, as its owner sees it in a list."""

    id: str
    client: str
    created_at: datetime
    seen_at: datetime


def begin(connection: Connection, person: str, *, client: str, instead_of: str | None = None) -> str:
    """Begin a session of a person; returns its token, which is always a new one.

    Args:
        connection: Of a transaction that writes.
        person: Their id.
        client: What their browser calls itself.
        instead_of: Token of the session that the browser had, which ends.
    """
    if instead_of:
        connection.execute(delete(table).where(table.c.digest == digest(instead_of)))
    token, moment = new_token(), now()
    connection.execute(
        insert(table).values(
            digest=digest(token), person_id=person, client=client[:200], created_at=moment, seen_at=moment,
            ends_at=moment + LONGEST,
        )
    )  # fmt: skip
    return token


def find(connection: Connection, token: str) -> tuple[Person, bool] | None:
    """Whose session this is, and whether it should be marked as seen; None where it is over."""
    moment = now()
    row = connection.execute(
        select(table).where(table.c.digest == digest(token), table.c.ends_at > moment, table.c.seen_at > moment - IDLE)
    ).first()
    person = person_of(connection, row.person_id) if row else None
    if row is None or person is None:
        return None
    return replace(person, csrf=csrf_of(token), session=row.digest), row.seen_at < moment - SEEN_EVERY


def seen(connection: Connection, session: str) -> None:
    """There was a request."""
    connection.execute(update(table).where(table.c.digest == session).values(seen_at=now()))


def listed(connection: Connection, person: str) -> list[Open]:
    """A person's open sessions, the one used last first."""
    moment = now()
    rows = connection.execute(
        select(table)
        .where(table.c.person_id == person, table.c.ends_at > moment, table.c.seen_at > moment - IDLE)
        .order_by(table.c.seen_at.desc())
    )
    return [Open(row.digest, row.client, row.created_at, row.seen_at) for row in rows]


def end(connection: Connection, person: str, *, session: str | None = None, other_than: str | None = None) -> int:
    """End one session of a person, all but one, or all; returns how many ended."""
    wanted = delete(table).where(table.c.person_id == person)
    if session is not None:
        wanted = wanted.where(table.c.digest == session)
    if other_than is not None:
        wanted = wanted.where(table.c.digest != other_than)
    return connection.execute(wanted).rowcount
