"""What the keeper finds out of a brand: its version, corrections, trainings, and what they would learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from configs.adapter_manifest import read_adapter
from configs.brand import Brand
from configs.errors import AdapterInvalid
from configs.home import Home
from service.engines.adapters import active_version
from service.errors import NotPossible, RequestInvalid
from service.storage.tables import corrections, training_jobs
from service.trainings import planning
from service.trainings.terms import Choice, Job


def choice_of(brand: Brand, proposed: str) -> Choice:
    """What is trained where nobody chooses: the brand's recipe or the proposed one, with corrections and the gate."""
    return Choice(brand.name, brand.retraining.recipe or proposed)


def made_at(home: Home, brand: str, version: str | None) -> datetime | None:
    """When a version was made; None where nothing says."""
    if version is None:
        return None
    try:
        return read_adapter(home.adapters / brand / version, verify=False).created_at
    except AdapterInvalid:
        return None


def fresh(connection: Connection, brand: str, version: str | None, made: datetime | None) -> int:
    """Accepted corrections that neither the version that speaks nor the newest that was trained has learnt.

    Args:
        connection: Of a transaction that reads.
        brand: Whose.
        version: That speaks.
        made: When; of one that was not trained by a job it says what it cannot know.
    """
    query = select(corrections.c.id, corrections.c.decided_at).where(
        corrections.c.brand == brand, corrections.c.state == "accepted"
    )
    accepted = {row.id: row.decided_at for row in connection.execute(query)}
    if not accepted:
        return 0
    of_brand = select(training_jobs.c.data).where(training_jobs.c.brand == brand)
    by_job = connection.execute(of_brand.where(training_jobs.c.version == version)).scalars().all() if version else []
    known = _learnt(by_job)
    done = of_brand.where(training_jobs.c.state == "done", training_jobs.c.version.is_not(None))
    known |= _learnt(connection.execute(done.order_by(training_jobs.c.started_at.desc()).limit(1)).scalars())
    if made and not by_job:
        known |= {one for one, at in accepted.items() if at and at <= made}
    return len(accepted.keys() - known)


def _learnt(data: Iterable[Any]) -> set[str]:
    return {one for row in data for ids in (row.get("corrections") or {}).values() for one in ids}


def going(connection: Connection, brand: str) -> Job | None:
    """A training of the brand that runs, or waits for the gate; on whichever machine."""
    states = training_jobs.c.state.in_(("running", "trained"))
    query = select(training_jobs).where(training_jobs.c.brand == brand, states)
    row = connection.execute(query.order_by(training_jobs.c.started_at.desc()).limit(1)).one_or_none()
    return Job.of(row) if row else None


def job_of(connection: Connection, job: str) -> Job | None:
    """A training."""
    row = connection.execute(select(training_jobs).where(training_jobs.c.id == job)).one_or_none()
    return Job.of(row) if row else None


def learns(home: Home, folder: Path, brand: Brand, choice: Choice, base: str) -> str:
    """Digest of all that a training of this brand would learn from: the same again gives the same adapter.

    Args:
        home: The state folder.
        folder: Of the configurations.
        brand: Whose voice.
        choice: What would be trained.
        base: Name of the base model.

    Returns:
        Empty where there is nothing to learn from.
    """
    try:
        recipe, _ = planning.resolved(folder, choice)
        files = planning.files(home, brand, recipe, choice)
        told = [base, recipe.model_dump_json(), _read(home.knowledge / brand.name / "current")]
        if recipe.start_from == "active":
            told.append(active_version(home, brand.name) or "")
        told += [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    except (RequestInvalid, NotPossible, OSError):
        return ""
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _read(path: Path) -> str:
    """The pointer to the knowledge: prompts hold its passages."""
    return path.read_text("utf-8") if path.is_file() else ""
