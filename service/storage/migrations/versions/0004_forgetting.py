"""What deleting needs: who wrote a message, tombstones, and an index for each way to what is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "tombstones",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tombstones")),
    )
    op.create_index("ix_tombstones_until", "tombstones", ["until"], unique=False)
    op.add_column("inbox", sa.Column("sender", sa.String(length=300), nullable=True))
    op.create_index("ix_inbox_turn_id", "inbox", ["turn_id"], unique=False)
    op.create_index("ix_turns_created_at", "turns", ["created_at", "id"], unique=False)
    op.create_index("ix_handoffs_conversation_id", "handoffs", ["conversation_id"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_handoffs_conversation_id", "handoffs")
    op.drop_index("ix_turns_created_at", "turns")
    op.drop_index("ix_inbox_turn_id", "inbox")
    op.drop_column("inbox", "sender")
    op.drop_index("ix_tombstones_until", "tombstones")
    op.drop_table("tombstones")
