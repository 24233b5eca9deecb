"""Alembic's migrations; `Database.open` runs them."""
