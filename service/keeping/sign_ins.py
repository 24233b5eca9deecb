"""What is over of people's sessions, links and pauses goes by itself; accounts and the audit log stay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete

from service.storage.people_tables import person_links, person_sessions, sign_in_failures


def sweep(connection: Connection, at: datetime) -> int:
    """Delete it; returns how many rows went."""
    over = (
        delete(person_sessions).where(person_sessions.c.ends_at <= at),
        delete(person_links).where(person_links.c.ends_at <= at),
        delete(sign_in_failures).where(sign_in_failures.c.forget_at <= at),
    )
    return sum(connection.execute(statement).rowcount for statement in over)
