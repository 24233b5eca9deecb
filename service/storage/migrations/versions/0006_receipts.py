"""What platforms tell of our replies, and messages that were taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "sent_parts",
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("message_id", sa.String(length=300), nullable=False),
        sa.Column("outbox_id", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("failure", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], name=op.f("fk_sent_parts_outbox_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("channel", "account", "message_id", name=op.f("pk_sent_parts")),
    )
    op.create_index("ix_sent_parts_outbox_id", "sent_parts", ["outbox_id"])
    # Without a batch: a column with a default is added in place on both databases.
    op.add_column("inbox", sa.Column("withdrawn", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("inbox") as batch_op:
        batch_op.drop_column("withdrawn")
    op.drop_index("ix_sent_parts_outbox_id", "sent_parts")
    op.drop_table("sent_parts")
