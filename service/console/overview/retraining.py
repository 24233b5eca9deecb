"""The alarm on drift and the plan of trainings, over HTTP; the overview shows both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from configs.handover import DAYS, Day
from configs.retraining import Retraining
from service.bootstrap import Gateway
from service.console import audit
from service.console.access import CONSOLE, Agent, Editor, Person, Role, author, speaks_as
from service.console.pages import gettext, page_router, redirect
from service.console.together import together
from service.retraining.drift import Report
from service.retraining.keeper import Standing
from service.retraining.state import Alarm, Held, Outcome, State, Trigger
from service.storage.database import now

Brand = Annotated[str, Path(max_length=40, description="The brand's name.")]
Days = Annotated[int, Query(ge=1, le=366, description="So many, today (UTC) included.")]
MOST_QUIET = 90


class _From(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class MeanShown(_From):
    """A mean of voice scores."""

    mean: float
    error: float = Field(description="Standard error of the mean.")
    answers: int = Field(description="Scored, each of another conversation.")


class FindingShown(_From):
    """The voice now, beside the voice when the version was new."""

    baseline: MeanShown
    recent: MeanShown
    limit: float = Field(description="A mean of the last days below this raises the alarm.")
    back: float = Field(description="An alarm is over once the mean reaches this.")


class DayShown(_From):
    """One day."""

    day: date = Field(description="UTC.")
    mean: float | None
    answers: int
    over_days: float | None = Field(description="The mean of this day and those before it that the alarm looks at.")


class DriftShown(BaseModel):
    """How a voice has been."""

    brand: str
    version: str | None = Field(description="That speaks; null where the base model does.")
    since: date | None = Field(description="Its first day, where the baseline begins.")
    finding: FindingShown | None = Field(description="Null where one of both times has too few answers.")
    counted: tuple[int, int] = Field(description="Answers of the baseline and of the last days.")
    alarm: Alarm | None
    quiet_until: datetime | None
    quiet_by: str | None
    days: list[DayShown]


class RetrainingShown(BaseModel):
    """When a voice is trained anew, and how that stands."""

    brand: str
    plan: Retraining = Field(description="As the brand's file says.")
    recipe: str = Field(description="That would be used now.")
    next_at: datetime | None = Field(description="The next moment of the schedule.")
    corrections: int = Field(description="Accepted ones that neither the version that speaks nor a later one learnt.")
    wanted: Trigger | None = Field(description="Why a training is due.")
    wanted_at: datetime | None
    held: Held | None = Field(
        description="What keeps one back that is called for: another one, a version that waits for a person, a pause "
        "after one that led to nothing, or that there is nothing new to learn from."
    )
    paused_until: datetime | None
    job: str | None = Field(description="The training that is under way.")
    outcome: Outcome | None = Field(description="What came of the last one.")


class Quiet(BaseModel):
    """No alarm for some days."""

    days: int = Field(default=7, ge=0, le=MOST_QUIET, description="From now; 0 ends the quiet.")
    by: str | None = Field(default=None, max_length=100, description="Who asks for it, where an API key asks.")


@dataclass(frozen=True, slots=True)
class Watched:
    """A brand as the overview shows it."""

    brand: str
    plan: Retraining
    standing: Standing
    editor: bool
    at: datetime

    @property
    def state(self) -> State:
        """What is known of it."""
        return self.standing.state

    @property
    def alarm(self) -> Alarm | None:
        """Unless somebody asked for quiet."""
        return None if self.quiet else self.state.alarm

    @property
    def quiet(self) -> bool:
        """Whether somebody did."""
        return self.state.quiet(self.at)

    @property
    def paused(self) -> bool:
        """Whether the last attempt led to nothing, and the next one waits."""
        return self.state.paused_until is not None and self.at < self.state.paused_until

    @property
    def due(self) -> bool:
        """Whether a person should begin a training."""
        return self.state.wanted is not None and self.plan.start == "ask"

    @property
    def speaks_up(self) -> bool:
        """Whether there is anything that cannot wait until somebody looks for it."""
        waits = self.state.outcome is not None and self.state.outcome.came == "waits"
        return bool(self.alarm or self.due or self.paused or waits)


async def watched(gateway: Gateway, person: Person, brands: Sequence[str]) -> list[Watched]:
    """Brands with their alarms and plans."""
    found = []
    for brand in brands:
        standing = await gateway.keeper.standing(brand)
        plan = gateway.config.brands[brand].retraining
        found.append(Watched(brand, plan, standing, person.may(Role.EDITOR, brand), now()))
    return found


def causes(person: Person | None) -> dict[Trigger, str]:
    """Why a training is due, in the person's language."""
    _ = gettext(person)
    return {
        "drift": _("the voice has drifted"),
        "corrections": _("enough corrections were accepted"),
        "schedule": _("its time has come"),
    }


def weekdays(person: Person | None) -> dict[Day, str]:
    """Names of days, in the person's language."""
    _ = gettext(person)
    names = (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))
    return dict(zip(DAYS, names, strict=True))


def retraining_router(gateway: Gateway) -> APIRouter:
    """The routes `/v1/brands/{brand}/drift` and `/retraining`, and what the overview's buttons do."""
    api, pages = APIRouter(prefix="/v1/brands/{brand}", tags=["Overview"]), page_router()
    keeper = gateway.keeper

    async def keep_quiet(person: Person, brand: str, days: int, name: str) -> State:
        detail = {"days": days}
        return await keeper.quiet(
            brand,
            days,
            by=name,
            audit=lambda c: audit.note(c, by=author(person, name), brand=brand, action="drift.quiet", detail=detail),
        )

    @api.get("/drift", response_model=DriftShown)
    async def drift(person: Agent, brand: Brand, days: Days = 30) -> Any:  # noqa: ARG001
        """Voice scores day by day, the baseline of the version that speaks, and whether the voice has drifted."""
        report = await gateway.drift.report(brand, days=days)
        return _drift(report, (await keeper.standing(brand)).state)

    @api.post("/drift/quiet", response_model=RetrainingShown)
    async def quiet(person: Editor, brand: Brand, given: Quiet) -> Any:
        """Show no alarm on drift, and start nothing because of it, for some days."""
        await keep_quiet(person, brand, given.days, speaks_as(person, given.by))
        return _plan(gateway, brand, await keeper.standing(brand))

    @api.get("/retraining", response_model=RetrainingShown)
    async def plan(person: Agent, brand: Brand) -> Any:  # noqa: ARG001
        """When this brand's voice is trained anew without anybody pressing a button, and how that stands."""
        return _plan(gateway, brand, await keeper.standing(brand))

    @pages.post("/overview/brands/{brand}/quiet")
    async def quiet_page(
        request: Request, person: Editor, brand: Brand, days: Annotated[int, Form(ge=0, le=MOST_QUIET)] = 7
    ) -> Response:
        """The same by a button."""
        _ = gettext(person)
        await keep_quiet(person, brand, days, person.name)
        said = _("No alarm on drift for a week.") if days else _("Alarms on drift are shown again.")
        return redirect(request, f"{CONSOLE}/overview?brand={brand}", said)

    return together(api, pages)


def _drift(report: Report, state: State) -> DriftShown:
    quiet = state.quiet(now())
    return DriftShown(
        brand=report.brand,
        version=report.version,
        since=report.since,
        finding=FindingShown.model_validate(report.finding) if report.finding else None,
        counted=report.counted,
        alarm=state.alarm,
        quiet_until=state.quiet_until if quiet else None,
        quiet_by=state.quiet_by if quiet else None,
        days=[DayShown.model_validate(one) for one in report.days],
    )


def _plan(gateway: Gateway, brand: str, standing: Standing) -> RetrainingShown:
    state = standing.state
    return RetrainingShown(
        brand=brand,
        plan=gateway.config.brands[brand].retraining,
        recipe=standing.recipe,
        next_at=standing.next_at,
        corrections=standing.fresh,
        wanted=state.wanted,
        wanted_at=state.wanted_at,
        held=state.held,
        paused_until=state.paused_until,
        job=state.job,
        outcome=state.outcome,
    )
