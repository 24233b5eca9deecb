"""Rows of the log of changes, for whoever changes something below the console; see `service.console.audit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from service.storage.database import now, storable
from service.storage.people_tables import audit_log


def add(
    connection: Connection,
    *,
    by: str,
    action: str,
    person: str | None = None,
    brand: str | None = None,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Keep one change, in the transaction that makes it.

    Args:
        connection: Of that transaction.
        by: Who made it.
        action: Such as `correction.accepted`: the thing, a dot, what happened to it.
        person: The id of the account, where somebody was signed in.
        brand: Where it belongs to one.
        subject: The id or name of what changed.
        detail: What is worth knowing besides.
    """
    connection.execute(
        insert(audit_log).values(
            at=now(),
            person_id=person,
            by=storable(by)[:100],
            brand=brand,
            action=action,
            subject=storable(subject)[:200],
            detail=dict(detail or {}),
        )
    )
