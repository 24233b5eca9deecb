"""How often a turn was begun, so that one over which the process dies again and again comes to an end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    # Without a batch: a column with a constant default is added in place on both databases.
    op.add_column("turns", sa.Column("starts", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("turns") as batch_op:
        batch_op.drop_column("starts")
