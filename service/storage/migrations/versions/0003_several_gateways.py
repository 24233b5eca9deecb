"""Several gateways: who lives, who answers which conversation, who sends which reply."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_WORK = sa.text("gateway IS NOT NULL")


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "gateways",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateways")),
    )
    # Added one by one: both databases do that at once, without writing the table anew.
    op.add_column("conversations", sa.Column("gateway", sa.String(length=32), nullable=True))
    op.add_column("conversations", sa.Column("fence", sa.Integer(), server_default="0", nullable=False))
    op.add_column("outbox", sa.Column("gateway", sa.String(length=32), nullable=True))
    op.create_index(
        "ix_conversations_at_work", "conversations", ["gateway"], sqlite_where=AT_WORK, postgresql_where=AT_WORK
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_conversations_at_work", "conversations")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_column("gateway")
    with op.batch_alter_table("conversations", schema=None) as batch_op:
        batch_op.drop_column("fence")
        batch_op.drop_column("gateway")
    op.drop_table("gateways")
