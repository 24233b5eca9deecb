"""Questions put to several voices, their answers, and what people thought of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "bench_runs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=40), nullable=False),
        sa.Column("turn_id", sa.String(length=64), nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("served", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.JSON(), nullable=False),
        sa.Column("knowledge_version", sa.String(length=64), nullable=True),
        sa.Column("passages", sa.JSON(), nullable=False),
        sa.Column("passages_sha256", sa.String(length=64), nullable=False),
        sa.Column("asked_by", sa.String(length=100), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_bench_runs_turn_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bench_runs")),
    )
    op.create_index("ix_bench_runs_turn_id", "bench_runs", ["turn_id"])
    op.create_index("ix_bench_runs_brand", "bench_runs", ["brand", "asked_at"])
    op.create_table(
        "bench_answers",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("contender", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["bench_runs.id"], name=op.f("fk_bench_answers_run_id")),
        sa.PrimaryKeyConstraint("run_id", "place", name=op.f("pk_bench_answers")),
    )
    op.create_table(
        "bench_votes",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["bench_runs.id"], name=op.f("fk_bench_votes_run_id")),
        sa.PrimaryKeyConstraint("run_id", "by", name=op.f("pk_bench_votes")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("bench_votes")
    op.drop_table("bench_answers")
    op.drop_index("ix_bench_runs_brand", "bench_runs")
    op.drop_index("ix_bench_runs_turn_id", "bench_runs")
    op.drop_table("bench_runs")
