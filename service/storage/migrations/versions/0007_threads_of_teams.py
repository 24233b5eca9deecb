"""Threads in which a team speaks with a customer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    # Without a batch: a column that may be empty is added in place on both databases.
    op.add_column("conversations", sa.Column("about", sa.String(length=64), nullable=True))
    op.create_index("ix_conversations_about", "conversations", ["about"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_conversations_about", "conversations")
    with op.batch_alter_table("conversations") as batch_op:
        batch_op.drop_column("about")
