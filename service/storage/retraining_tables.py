"""The table of retrainings: what the gateways know of each brand between two looks; see `service.retraining`."""

from __future__ import annotations

from sqlalchemy import JSON, Column, String, Table

from service.storage.tables import Utc, metadata

retraining = Table(
    "retraining",
    metadata,
    Column("brand", String(40), primary_key=True),
    # As `service.retraining.state.State` reads it; one small document, since no statement looks into it.
    Column("state", JSON, nullable=False),
    Column("changed_at", Utc, nullable=False),
)
