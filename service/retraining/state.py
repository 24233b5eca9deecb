"""What is known of a brand between two looks: in the database, so that any gateway goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from service.storage.database import insert_new, now
from service.storage.ids import fresh_id
from service.storage.retraining_tables import retraining

Trigger = Literal["drift", "corrections", "schedule"]
Came = Literal["failed", "refused", "waits", "speaks"]
"""What came of the last attempt. `waits`: the gate passed a version, and a person is to let it speak."""
Held = Literal["busy", "waits", "paused", "nothing_new"]
"""What stands against a training that is called for. `nothing_new`: the last one, which the gate did not pass, learnt
from the same, and would come out the same again."""
UNTOLD_KEPT = 10
"""Calls that wait for an outside that is away; older ones are dropped."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class Alarm(_Kept):
    """A voice has drifted."""

    since: datetime
    recent: float
    baseline: float
    limit: float
    answers: int
    """Of the last days."""


class Outcome(_Kept):
    """What came of an attempt."""

    came: Came
    at: datetime
    version: str | None = None
    job: str | None = None
    why: str = ""
    """In words of the gate, the training or the desk."""


class Note(_Kept):
    """A call to the outside that is yet to be made."""

    id: str
    kind: str
    at: datetime
    data: Mapping[str, Any]
    attempts: int = 0
    next_at: datetime


class State(_Kept):
    """One brand's."""

    version: str | None = None
    """That spoke when it was looked last."""
    looked_at: datetime | None = None
    """When the voice was looked at."""
    alarm: Alarm | None = None
    quiet_until: datetime | None = None
    quiet_by: str = ""
    wanted: Trigger | None = None
    """Why a training should begin; none where nothing speaks for it, or something against it."""
    wanted_at: datetime | None = None
    held: Held | None = None
    """What keeps a training back that is called for."""
    schedule_from: datetime | None = None
    """Moments of the schedule until then are dealt with."""
    claimed_until: datetime | None = None
    """A gateway is starting one."""
    job: str | None = None
    """The training that is under way."""
    cause: Trigger | None = None
    """Why it was started; none where a person did."""
    learnt: str = ""
    """Digest of what the newest attempt learns from."""
    failures: int = 0
    """Attempts in a row that led to nothing."""
    paused_until: datetime | None = None
    outcome: Outcome | None = None
    notes: tuple[Note, ...] = ()

    def quiet(self, at: datetime) -> bool:
        """Whether somebody has asked for quiet."""
        return self.quiet_until is not None and at < self.quiet_until

    def with_(self, **values: Any) -> State:
        """A copy with other values."""
        return self.model_copy(update=values)

    def told(self, kind: str, at: datetime, **data: Any) -> State:
        """With a call to the outside."""
        note = Note(id=fresh_id(), kind=kind, at=at, data=data, next_at=at)
        return self.with_(notes=(*self.notes, note)[-UNTOLD_KEPT:])


def read(connection: Connection, brand: str) -> State:
    """A brand's state; an empty one where it was never looked at."""
    found = connection.execute(select(retraining.c.state).where(retraining.c.brand == brand)).scalar()
    return State() if found is None else State.model_validate(found)


def change(connection: Connection, brand: str, how: Callable[[State], State | None]) -> State:
    """Change a brand's state under the lock of its row.

    Args:
        connection: Of a transaction that writes.
        brand: Whose.
        how: Gets the state as it is now; None leaves it so.

    Returns:
        The state as it is then.
    """
    mine = retraining.c.brand == brand
    locked = select(retraining.c.state).where(mine).with_for_update()
    found = connection.execute(locked).scalar()
    if found is None:
        # There is nothing to lock yet; of gateways that come at once one makes it.
        row = {"brand": brand, "state": State().model_dump(mode="json"), "changed_at": now()}
        connection.execute(insert_new(connection, retraining), row)
        found = connection.execute(locked).scalar_one()
    before = State.model_validate(found)
    after = how(before)
    if after is None or after == before:
        return before
    values = {"state": after.model_dump(mode="json"), "changed_at": now()}
    connection.execute(retraining.update().where(mine).values(**values))
    return after
