"""Accounts that installed an app themselves, and replies that are shown while they grow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "installations",
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("app", sa.String(length=60), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("brand", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("installed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("renewing_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("channel", "app", "account", name=op.f("pk_installations")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("begun", sa.String(length=300), nullable=True))
    op.create_table(
        "used_states",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_states")),
    )


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_column("begun")
    op.drop_table("used_states")
    op.drop_table("installations")
