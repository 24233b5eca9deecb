"""Tables of the console: people who work here, their sessions and links, pauses after failures, the audit log."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, String, Table, false

from service.storage.tables import Utc, metadata

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    # In lower case: what a person signs in with.
    Column("email", String(200), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("language", String(20), nullable=False, server_default="en"),
    # Argon2id in its own notation; none until the person has chosen one.
    Column("password", String(200)),
    Column("disabled", Boolean, nullable=False, default=False, server_default=false()),
    Column("created_at", Utc, nullable=False),
)
person_roles = Table(
    "person_roles",
    metadata,
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    # A brand's name, or "*" for all of them, those to come included.
    Column("brand", String(40), primary_key=True),
    Column("role", String(10), nullable=False),
)
person_sessions = Table(
    "person_sessions",
    metadata,
    # Of the token, which only the person's browser holds.
    Column("digest", String(64), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    # What the browser says of itself, so that its owner tells sessions apart.
    Column("client", String(200), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("ends_at", Utc, nullable=False),
    Index("ix_person_sessions_person_id", "person_id"),
)
person_links = Table(
    "person_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    # None for the link that makes the first admin.
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE")),
    Column("ends_at", Utc, nullable=False),
    Index("ix_person_links_person_id", "person_id"),
)
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    # Of the account as it was typed, or of the address: neither is kept in clear.
    Column("digest", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("until", Utc, nullable=False),
    Column("forget_at", Utc, nullable=False),
)
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    # Without a foreign key: it outlives whoever did it.
    Column("person_id", String(32)),
    Column("by", String(100), nullable=False),
    Column("brand", String(40)),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", JSON, nullable=False),
    Index("ix_audit_log_brand", "brand", "id"),
)
