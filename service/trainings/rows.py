"""The rows of jobs, read and written."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from service.errors import AdapterUnknown
from service.storage.tables import corrections, training_jobs
from service.trainings.terms import Job, State


def read(connection: Connection, job: str) -> Job:
    """One job.

    Raises:
        AdapterUnknown: There is none.
    """
    row = connection.execute(select(training_jobs).where(training_jobs.c.id == job)).one_or_none()
    if row is None:
        raise AdapterUnknown(f"There is no training {job!r}.")
    return Job.of(row)


def change(connection: Connection, job: str, **values: object) -> None:
    """Set fields of a job."""
    connection.execute(update(training_jobs).where(training_jobs.c.id == job).values(**values))


def running(connection: Connection, host: str) -> list[Job]:
    """What runs on a machine, as far as is known."""
    return _in_state(connection, host, "running")


def waiting(connection: Connection, host: str) -> list[Job]:
    """What waits for the gate there, the oldest first."""
    return _in_state(connection, host, "trained")


def _in_state(connection: Connection, host: str, state: State) -> list[Job]:
    query = select(training_jobs).where(training_jobs.c.host == host, training_jobs.c.state == state)
    return [Job.of(row) for row in connection.execute(query.order_by(training_jobs.c.started_at))]


def accepted(connection: Connection, brand: str) -> dict[str, list[str]]:
    """Ids of the accepted corrections of a brand, by kind."""
    query = select(corrections.c.kind, corrections.c.id).where(
        corrections.c.brand == brand, corrections.c.state == "accepted"
    )
    found: dict[str, list[str]] = {}
    for kind, one in connection.execute(query.order_by(corrections.c.id)):
        found.setdefault(kind, []).append(one)
    return found
