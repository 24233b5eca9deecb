"""What the console's inbox looks for: support of answers, refused questions, canned replies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

AT_ONCE = 500
_REFUSED = sa.text("outcome = 'refused'")
_TURNS = sa.table(
    "turns",
    sa.column("id", sa.String),
    sa.column("outcome", sa.String),
    sa.column("citations", sa.JSON),
    sa.column("support", sa.Float),
)


def upgrade() -> None:
    """Go forward."""
    # Without a batch: a column that may be empty is added in place on both databases.
    op.add_column("turns", sa.Column("support", sa.Float(), nullable=True))
    op.create_index("ix_turns_refused", "turns", ["created_at"], sqlite_where=_REFUSED, postgresql_where=_REFUSED)
    op.drop_index("ix_turns_created_at", "turns")
    op.create_index("ix_turns_created_at", "turns", ["created_at", "id", "conversation_id", "number"])
    op.create_table(
        "settled_questions",
        sa.Column("turn_id", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_settled_questions_turn_id")),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_settled_questions")),
    )
    op.create_table(
        "canned_replies",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=100), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canned_replies")),
        sa.UniqueConstraint("brand", "title", name=op.f("uq_canned_replies_brand")),
    )
    _fill(op.get_bind())


def downgrade() -> None:
    """Go back."""
    op.drop_table("canned_replies")
    op.drop_table("settled_questions")
    op.drop_index("ix_turns_created_at", "turns")
    op.create_index("ix_turns_created_at", "turns", ["created_at", "id"])
    op.drop_index("ix_turns_refused", "turns")
    with op.batch_alter_table("turns") as batch_op:
        batch_op.drop_column("support")


def _fill(connection: sa.Connection) -> None:
    """Answers that were given before get their support from their citations."""
    last = ""
    while True:
        query = sa.select(_TURNS.c.id, _TURNS.c.citations).where(_TURNS.c.id > last, _TURNS.c.outcome == "answered")
        rows = connection.execute(query.order_by(_TURNS.c.id).limit(AT_ONCE)).all()
        if not rows:
            return
        last = rows[-1].id
        values = [
            {"turn": row.id, "best": max((float(one.get("score") or 0) for one in row.citations or ()), default=0.0)}
            for row in rows
        ]
        change = sa.update(_TURNS).where(_TURNS.c.id == sa.bindparam("turn")).values(support=sa.bindparam("best"))
        connection.execute(change, values)
