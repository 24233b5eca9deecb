"""People take over: the state of a conversation, who has it, who said what, and what the outside is told."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go forward: what is there already belongs to the bot."""
    for column in (
        sa.Column("state", sa.String(length=10), nullable=False, server_default="bot"),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("state_at", MOMENT, nullable=True),
        sa.Column("told", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("rules_from", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("conversations", column)
    held = sa.text("state IN ('waiting', 'person')")
    op.create_index("ix_conversations_held", "conversations", ["state"], sqlite_where=held, postgresql_where=held)
    op.add_column("turns", sa.Column("author", sa.String(length=100), nullable=True))
    op.add_column("turns", sa.Column("author_key", sa.String(length=100), nullable=True))
    op.create_index("ix_turns_author_key", "turns", ["conversation_id", "author_key"], unique=True)
    more: tuple[sa.Column[Any], ...] = (
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.Column("taken_by", sa.String(length=100), nullable=True),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.Column("closed_at", MOMENT, nullable=True),
    )
    for one in more:
        op.add_column("handoffs", one)
    op.create_table(
        "transitions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("conversation_id", sa.String(length=64), nullable=False),
        sa.Column("was", sa.String(length=10), nullable=False),
        sa.Column("became", sa.String(length=10), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name=op.f("fk_transitions_conversation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transitions")),
    )
    op.create_index("ix_transitions_conversation_id", "transitions", ["conversation_id"])
    op.create_table(
        "hooks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("conversation_id", sa.String(length=64), nullable=False),
        sa.Column("turn_id", sa.String(length=64), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("notified_at", MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name=op.f("fk_hooks_conversation_id")),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_hooks_turn_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
    )
    due = sa.text("notified_at IS NULL")
    op.create_index("ix_hooks_due", "hooks", ["next_attempt_at"], sqlite_where=due, postgresql_where=due)
    op.create_index("ix_hooks_conversation_id", "hooks", ["conversation_id"])
    op.create_index("ix_hooks_turn_id", "hooks", ["turn_id"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("hooks")
    op.drop_table("transitions")
    for name in ("closed_at", "taken_at", "taken_by", "summary"):
        op.drop_column("handoffs", name)
    op.drop_index("ix_turns_author_key", "turns")
    op.drop_column("turns", "author_key")
    op.drop_column("turns", "author")
    op.drop_index("ix_conversations_held", "conversations")
    for name in ("rules_from", "told", "state_at", "owner", "state"):
        op.drop_column("conversations", name)
