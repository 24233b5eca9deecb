"""The log of what people and machines changed. Rows are added, never changed and never deleted.

`detail` says what changed in few words and numbers: ids, versions, roles. No customer's words and no secret stand in
it, since forgetting a customer leaves the log alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select

from service.console.person import Person
from service.storage import audit_rows
from service.storage.people_tables import audit_log


@dataclass(frozen=True, slots=True)
class Entry:
    """One change."""

    id: int
    at: datetime
    person_id: str | None
    by: str
    brand: str | None
    action: str
    subject: str
    detail: Mapping[str, Any]


def note(
    connection: Connection,
    *,
    by: Person | str,
    action: str,
    brand: str | None = None,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Keep one change, in the transaction that makes it.

    Args:
        connection: Of that transaction.
        by: Who made it; a name where nobody was signed in.
        action: Such as `correction.accepted`: the thing, a dot, what happened to it.
        brand: Where it belongs to one.
        subject: The id or name of what changed.
        detail: What is worth knowing besides.
    """
    name, person = (by, None) if isinstance(by, str) else (by.name, by.id)
    audit_rows.add(connection, by=name, person=person, action=action, brand=brand, subject=subject, detail=detail)


def entries(
    connection: Connection,
    *,
    brands: Sequence[str] | None,
    action: str | None = None,
    person: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Entry]:
    """Changes, newest first.

    Args:
        connection: Of a transaction that reads.
        brands: Only of these; None for all, and for what belongs to no brand.
        action: Only these, or all that begin with this word and a dot.
        person: Only by the person of this id.
        before: Only those older than this entry.
        limit: At most so many.
    """
    wanted = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if brands is not None:
        wanted = wanted.where(audit_log.c.brand.in_(brands))
    if action:
        wanted = wanted.where(
            or_(audit_log.c.action == action, audit_log.c.action.startswith(f"{action}.", autoescape=True))
        )
    if person:
        wanted = wanted.where(audit_log.c.person_id == person)
    if before is not None:
        wanted = wanted.where(audit_log.c.id < before)
    return [Entry(**row._mapping) for row in connection.execute(wanted)]


def happened(connection: Connection, action: str) -> bool:
    """Whether anything of a kind was ever changed.

    Args:
        connection: Of a transaction.
        action: Such as `brand.made`, or all of a thing: `knowledge.`
    """
    query = select(audit_log.c.id).where(audit_log.c.action.startswith(action, autoescape=True)).limit(1)
    return connection.execute(query).first() is not None
