"""What an evaluation said of a candidate: `evaluations/<brand>/<version>/verdict.json`, which promoting reads."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from configs.adapter_manifest import AdapterManifest, Digest, read_adapter, read_form
from configs.brand import Brand, Gate, Strict
from configs.cases import case_files
from configs.home import Home

VERDICT_FILE = "verdict.json"
BASE_VERSION = "base"
"""The version that a brand without an adapter speaks with: the base model and the voice guide."""


class Judged(Strict):
    """One side of the comparison."""

    version: str
    weights_sha256: Digest | None = Field(description="Of an adapter; null where the base model spoke.")


class Conditions(Strict):
    """What a verdict holds for; with another of these it says nothing."""

    candidate: Judged
    current: Judged
    base_sha256: Digest | None = Field(description="Of the base model; null where another machine serves it.")
    questions_sha256: Digest = Field(description="Of the file of held-out questions.")
    gate_sha256: Digest = Field(description="Of margins and floors.")


def conditions(
    home: Home, brand: Brand, candidate: AdapterManifest, current: str, base_sha256: str | None
) -> Conditions:
    """What a verdict on this candidate holds for as things stand.

    Args:
        home: The state folder.
        brand: With its held-out questions and its gate.
        candidate: The manifest of the version that is judged.
        current: The version that speaks now; `BASE_VERSION` where the base model does.
        base_sha256: Digest of the base model that serves.

    Raises:
        AdapterInvalid: The version that speaks now is not whole.
    """
    adapters = home.adapters / brand.name
    speaking = None if current == BASE_VERSION else read_adapter(adapters / current, verify=False).weights_sha256
    return Conditions(
        candidate=Judged(version=candidate.version, weights_sha256=candidate.weights_sha256),
        current=Judged(version=current, weights_sha256=speaking),
        base_sha256=base_sha256,
        questions_sha256=questions_sha256(brand, home),
        gate_sha256=gate_sha256(brand.gate),
    )


class RecordedVerdict(Strict):
    """Everything in `verdict.json`."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Version of this form.")
    brand: str
    conditions: Conditions
    knowledge_version: str | None = Field(description="What was searched while it was evaluated.")
    verdict: Literal["passed", "refused", "not enough evidence"]
    cases: int
    reasons: tuple[str, ...] = Field(min_length=1)
    measures: tuple[dict[str, Any], ...] = Field(description="As docs/gate.md lists them.")
    at: datetime

    def to_json(self) -> str:
        """The text of `verdict.json`."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def read_verdict(folder: Path) -> RecordedVerdict | None:
    """The verdict of an evaluation's folder; None where there is none yet.

    Raises:
        AdapterInvalid: It cannot be read, or is not of this form.
    """
    path = folder / VERDICT_FILE
    return read_form(path, RecordedVerdict, "verdict") if path.is_file() else None


def questions_sha256(brand: Brand, home: Home) -> str:
    """Digest of the brand's held-out questions as they stand, those that people added included; of nothing without."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in case_files(brand, home))).hexdigest()


def gate_sha256(gate: Gate) -> str:
    """Digest of margins and floors, and of which are named: a measure that is named must have been measured."""
    told = gate.model_dump_json() + gate.model_dump_json(exclude_unset=True)
    return hashlib.sha256(told.encode()).hexdigest()
