"""Conversations of people who are logged in on the brand's site."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    # Without a batch: a column that may be empty is added in place on both databases.
    op.add_column("conversations", sa.Column("identity", sa.String(length=200), nullable=True))
    known = sa.text("identity IS NOT NULL")
    op.create_index(
        "ix_conversations_identity", "conversations", ["identity"], sqlite_where=known, postgresql_where=known
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_conversations_identity", "conversations")
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.drop_column("identity")
