"""Jobs of taking in, as the database has them: any gateway shows them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from service.errors import NotFound, NotPossible
from service.intake.terms import Job, Result
from service.storage.database import now, storable
from service.storage.leases import lives
from service.storage.tables import knowledge_jobs

KEPT = 50
"""Jobs of a brand that are kept, the newest."""
AT_ONCE = 5
"""Jobs of a brand that may run or wait."""


def begin(connection: Connection, job: Job) -> None:
    """Keep a job that begins; the oldest ones of its brand go.

    Raises:
        NotPossible: As many run as may.
    """
    mine = knowledge_jobs.c.brand == job.brand
    busy = select(func.count()).select_from(knowledge_jobs).where(mine, knowledge_jobs.c.state == "running")
    if connection.execute(busy).scalar_one() >= AT_ONCE:
        raise NotPossible(
            f"{AT_ONCE} jobs already take documents into this brand's knowledge. Wait until one is done, or stop one."
        )
    connection.execute(
        insert(knowledge_jobs).values(
            id=job.id, brand=job.brand, kind=job.kind, source=storable(job.source)[:2000], state=job.state,
            step=job.step, done=job.done, total=job.total, at="", results=[], gateway=job.gateway, stopping=False,
            started_by=storable(job.started_by)[:100], started_at=job.started_at,
        )
    )  # fmt: skip
    newest = select(knowledge_jobs.c.id).where(mine).order_by(knowledge_jobs.c.started_at.desc()).limit(KEPT)
    old = delete(knowledge_jobs).where(
        mine, knowledge_jobs.c.state != "running", knowledge_jobs.c.id.not_in([*connection.execute(newest).scalars()])
    )
    connection.execute(old)


def keep(connection: Connection, job: str, **values: Any) -> bool:
    """Keep how far a job is; says whether it shall stop."""
    connection.execute(update(knowledge_jobs).where(knowledge_jobs.c.id == job).values(**values))
    wanted = select(knowledge_jobs.c.stopping).where(knowledge_jobs.c.id == job)
    return bool(connection.execute(wanted).scalar())


def read(connection: Connection, job: str) -> Job:
    """One job.

    Raises:
        NotFound: There is none.
    """
    row = connection.execute(select(knowledge_jobs).where(knowledge_jobs.c.id == job)).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job!r}; only the newest {KEPT} of a brand are kept.")
    return _job(row)


def listed(connection: Connection, brand: str, limit: int) -> list[Job]:
    """Jobs of a brand, newest first."""
    wanted = select(knowledge_jobs).where(knowledge_jobs.c.brand == brand)
    return [_job(row) for row in connection.execute(wanted.order_by(knowledge_jobs.c.started_at.desc()).limit(limit))]


def stop(connection: Connection, job: str) -> Job:
    """Want a job to stop; whoever runs it sees that within a second.

    Raises:
        NotFound: There is none.
        NotPossible: It is over.
    """
    one = read(connection, job)
    if one.state != "running":
        raise NotPossible("It is over already.")
    connection.execute(update(knowledge_jobs).where(knowledge_jobs.c.id == job).values(stopping=True))
    return read(connection, job)


def interrupted(connection: Connection, me: str, mine: Collection[str]) -> list[str]:
    """Note which jobs their gateway left behind, and name them.

    Args:
        connection: Of a transaction that writes.
        me: This gateway.
        mine: Jobs that it runs.
    """
    wanted = select(knowledge_jobs.c.id, knowledge_jobs.c.gateway).where(knowledge_jobs.c.state == "running")
    left = [
        row.id
        for row in connection.execute(wanted)
        if row.id not in mine and (row.gateway == me or not lives(connection, row.gateway))
    ]
    if left:
        over = update(knowledge_jobs).where(knowledge_jobs.c.id.in_(left), knowledge_jobs.c.state == "running")
        connection.execute(over.values(state="interrupted", ended_at=now(), at=""))
    return left


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)
    values["results"] = tuple(Result.of(one) for one in values["results"])
    return Job(**values)
