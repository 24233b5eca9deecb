"""When a brand's voice is trained anew without anybody pressing a button: `retraining` in a brand's file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from configs.handover import DAYS, Day, Zone


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DriftAlarm(_Strict):
    """When answers sound so much less like the brand that somebody should look."""

    drop: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Alarm where the voice score of the last `days` lies surely more than this below the baseline.",
    )
    days: int = Field(default=7, ge=1, le=60, description="The time that is looked at, today (UTC) included.")
    baseline_days: int = Field(
        default=28, ge=7, le=180, description="The first days of the version that speaks: how it sounded when new."
    )
    answers: int = Field(
        default=30, ge=20, description="Scored answers that both times need; with fewer nothing is said."
    )


class Schedule(_Strict):
    """Fixed moments."""

    days: tuple[Day, ...] = Field(min_length=1, description="Such as `[sun]`, or `[mon, thu]`.")
    at: str = Field(default="03:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="On the wall clock, 24 hours.")
    timezone: Zone = Field(default="UTC", description="Such as Europe/Paris.")

    def last(self, moment: datetime) -> datetime:
        """The newest moment of the schedule that is not later than this one; in UTC."""
        # A day more than a week: today's may be still to come.
        return max(at for at in self._around(moment, range(-8, 2)) if at <= moment)

    def next(self, moment: datetime) -> datetime:
        """The first moment of the schedule that is later than this one; in UTC."""
        return min(at for at in self._around(moment, range(-1, 9)) if at > moment)

    def _around(self, moment: datetime, days: range) -> Iterator[datetime]:
        zone = ZoneInfo(self.timezone)
        today: date = moment.astimezone(zone).date()
        for number in days:
            day = today + timedelta(days=number)
            if DAYS[day.weekday()] in self.days:
                # An hour that a change of clocks leaves out is read on the clock before it; one that comes twice is
                # the first of them.
                yield datetime.combine(day, time.fromisoformat(self.at), zone).astimezone(UTC)


class Retraining(_Strict):
    """What leads to a new training, and what may happen without a person."""

    drift: DriftAlarm | None = Field(default=DriftAlarm(), description="The alarm on drift; null for none.")
    corrections: int | None = Field(
        default=None,
        ge=1,
        description="So many corrections accepted that neither the version that speaks nor a later one was trained on.",
    )
    schedule: Schedule | None = Field(default=None, description="At fixed moments, where there is something new.")
    recipe: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="What is trained with; where absent what the console proposes: `corrections` where a version "
        "speaks and was corrected, else `quick_cpu`.",
    )
    start: Literal["ask", "train"] = Field(
        default="ask", description="Only tell people, or also start the training; the gate is asked either way."
    )
    promote: Literal["person", "passed"] = Field(
        default="person",
        description="Who lets a version speak that was trained so: a person, or nobody where the gate has passed it.",
    )
