"""What is known of each brand's voice and of the trainings that nobody pressed a button for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "retraining",
        sa.Column("brand", sa.String(length=40), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brand", name=op.f("pk_retraining")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("retraining")
