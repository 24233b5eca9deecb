"""Alembic's entry: the connection comes from `Database.open`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from service.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    # `Database` begins SQLite's transactions itself, so DDL is rolled back with the rest.
    transactional_ddl=True,
)
if connection.dialect.name == "postgresql":
    # Two gateways that start at once take turns; in SQLite, BEGIN IMMEDIATE does it.
    connection.execute(text("SELECT pg_advisory_xact_lock(7263)"))
with context.begin_transaction():
    context.run_migrations()
