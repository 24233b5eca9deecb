"""Tables of the bench: questions put to several voices, their answers, and what people thought of them."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from service.storage.tables import Utc, metadata

# Questions put to several voices; see `service.console.bench.runs`.
bench_runs = Table(
    "bench_runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(40), nullable=False),
    # The turn that was replayed, with whose end this ends too; none of an own question.
    Column("turn_id", ForeignKey("turns.id")),
    Column("question", Text, nullable=False),
    Column("blind", Boolean, nullable=False),
    Column("served", Boolean, nullable=False),
    Column("decision", JSON, nullable=False),
    Column("knowledge_version", String(64)),
    Column("passages", JSON, nullable=False),
    # Of the passages, in their order: what all voices were judged on.
    Column("passages_sha256", String(64), nullable=False),
    Column("asked_by", String(100), nullable=False),
    Column("asked_at", Utc, nullable=False),
    Index("ix_bench_runs_turn_id", "turn_id"),
    Index("ix_bench_runs_brand", "brand", "asked_at"),
)
bench_answers = Table(
    "bench_answers",
    metadata,
    Column("run_id", ForeignKey("bench_runs.id"), primary_key=True),
    # In the order that is shown; of a blind run it was shuffled.
    Column("place", Integer, primary_key=True),
    # As `service.turns.side_by_side.Contender` reads it.
    Column("contender", String(100), nullable=False),
    Column("state", String(10), nullable=False),
    Column("text", Text, nullable=False, default=""),
    Column("told", JSON),
)
bench_votes = Table(
    "bench_votes",
    metadata,
    Column("run_id", ForeignKey("bench_runs.id"), primary_key=True),
    Column("by", String(100), primary_key=True),
    # Of the best answer; none where they are equal.
    Column("place", Integer),
    Column("tags", JSON, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("at", Utc, nullable=False),
)
