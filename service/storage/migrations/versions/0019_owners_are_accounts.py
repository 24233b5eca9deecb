"""Whoever has a conversation is an account where they have one; a name that one account has is taken for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("conversations", sa.Column("owner_id", sa.String(length=32), nullable=True))
    op.execute(
        "UPDATE conversations SET owner_id = (SELECT people.id FROM people WHERE people.name = conversations.owner) "
        "WHERE owner IS NOT NULL "
        "AND (SELECT count(*) FROM people WHERE people.name = conversations.owner) = 1"
    )


def downgrade() -> None:
    """Go back."""
    op.drop_column("conversations", "owner_id")
