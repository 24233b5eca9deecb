"""The overview: how conversations went, as plots with their numbers, and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from service.bootstrap import Gateway
from service.console.access import Agent, Person, Role
from service.console.overview import figures
from service.console.overview.figures import Day
from service.console.overview.first_steps import first_steps
from service.console.overview.retraining import causes, watched, weekdays
from service.console.pages import page_router, render
from service.console.together import together
from service.errors import brand_of
from service.storage.database import now

SPANS = (7, 30, 90)
A_GLANCE = 5
"""Answers a brand and day whose voice is scored for the plots of several brands."""
Brand = Annotated[str | None, Query(max_length=40, description="Of this brand; else of all in which one has a role.")]
Days = Annotated[int, Query(ge=1, le=366, description="So many, today (UTC) included.")]


class Figures(BaseModel):
    """What happened in some time; shares are from 0 to 1, and null where there is nothing to share."""

    conversations: int = Field(description="With at least one turn; over several days, the sum of each day's.")
    answers: int = Field(description="Turns of the bot that came to an end.")
    refused: int
    handed_off: int
    failed: int
    resolved: int = Field(
        description="Exchanges without a person whose last answer was no refusal and after which the customer did not "
        "come back within a day."
    )
    exchanges: int = Field(description="Those of which a day has passed; a silence of half an hour ends one.")
    resolved_share: float | None
    up: int
    down: int
    prompt_tokens: int
    completion_tokens: int
    p50_ms: int | None = Field(description="Half of the answers were ready by then; exact to 100 ms.")
    p95_ms: int | None = Field(description="95 of 100 answers were ready by then.")
    voice: float | None = Field(description="Mean voice score of a sample of answers.")


class DayShown(Figures):
    """One day."""

    day: date = Field(description="UTC.")


class Overview(BaseModel):
    """How conversations went."""

    brands: list[str]
    total: Figures
    before: Figures = Field(description="The same number of days before.")
    days: list[DayShown]


def overview_router(gateway: Gateway) -> APIRouter:
    """The page `/console/overview` and the route `/v1/overview`."""
    api, pages = APIRouter(prefix="/v1", tags=["Overview"]), page_router()
    known = gateway.config.brands

    async def look(person: Person, brand: str | None, days: int) -> Overview:
        brands = (brand_of(known, brand).name,) if brand else person.brands(Role.AGENT, known)
        first = now().date() - timedelta(days=2 * days - 1)
        found = await gateway.db.read(lambda c: figures.days(c, brands=brands, first=first, count=2 * days))
        for name in brands:
            sample = await gateway.scores.sample(name, first, 2 * days, most=A_GLANCE)
            scores = await gateway.scores.by_day(name, sample)
            for day in found:
                day.voice += scores.get(day.day, [])
        shown = [DayShown(day=day.day, **_summed([day])) for day in found[days:]]
        return Overview(
            brands=list(brands),
            total=Figures(**_summed(found[days:])),
            before=Figures(**_summed(found[:days])),
            days=shown,
        )

    @api.get("/overview", response_model=Overview)
    async def overview(person: Agent, brand: Brand = None, days: Days = 30) -> Any:
        """Conversations, what became of them, thumbs, tokens, latency and voice, day by day."""
        return await look(person, brand, days)

    @pages.get("/overview")
    async def page(request: Request, person: Agent, brand: str = "", days: Days = 30) -> Response:
        """The same as plots."""
        found = await look(person, brand or None, days)
        there = request.app.state.console_paths
        mine = person.brands(Role.AGENT, known)
        only = found.brands[0] if len(found.brands) == 1 else None
        report = await gateway.drift.report(only, days=days) if only else None
        return render(
            request, person, "overview/page.html", brands=mine, brand=brand, days=days, report=report,
            steps=await gateway.db.read(lambda c: first_steps(c, person, there)),
            watched=await watched(gateway, person, found.brands), causes=causes(person), weekdays=weekdays(person),
            spans=SPANS, overview=found, tiles=tiles(found), labels=[one.day for one in found.days],
            percents=[None if one.resolved_share is None else 100 * one.resolved_share for one in found.days],
            halves=[_seconds(one.p50_ms) for one in found.days],
            nearly_all=[_seconds(one.p95_ms) for one in found.days],
        )  # fmt: skip

    return together(api, pages)


@dataclass(frozen=True, slots=True)
class Tile:
    """One number with what it was before."""

    name: str
    value: float | None
    before: float | None
    share: bool = False
    unit: str = ""

    @property
    def change(self) -> float | None:
        """Relative, of shares in points; None where nothing can be compared."""
        if self.value is None or self.before is None:
            return None
        if self.share:
            return self.value - self.before
        return self.value / self.before - 1 if self.before else None


def tiles(found: Overview) -> list[Tile]:
    """The numbers at the top, by the names that the page knows."""

    def of(name: str, value: Callable[[Figures], float | None], **more: Any) -> Tile:
        return Tile(name, value(found.total), value(found.before), **more)

    return [
        of("conversations", lambda one: one.conversations),
        of("resolved", lambda one: one.resolved_share, share=True),
        of("refused", lambda one: _share(one.refused, one.answers), share=True),
        of("handed_off", lambda one: one.handed_off),
        of("thumbs", lambda one: _share(one.up, one.up + one.down), share=True),
        of("p50", lambda one: _seconds(one.p50_ms), unit="s"),
        of("p95", lambda one: _seconds(one.p95_ms), unit="s"),
        of("tokens", lambda one: one.prompt_tokens + one.completion_tokens),
        of("voice", lambda one: one.voice),
    ]


SUMS = (
    "conversations", "answers", "refused", "handed_off", "failed", "resolved", "exchanges", "up", "down",
    "prompt_tokens", "completion_tokens",
)  # fmt: skip


def _summed(days: Sequence[Day]) -> dict[str, Any]:
    sums: dict[str, Any] = {name: sum(getattr(day, name) for day in days) for name in SUMS}
    scores = [score for day in days for score in day.voice]
    return sums | {
        "resolved_share": _share(sums["resolved"], sums["exchanges"]),
        "p50_ms": figures.percentile_ms(days, 0.5),
        "p95_ms": figures.percentile_ms(days, 0.95),
        "voice": round(sum(scores) / len(scores), 3) if scores else None,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
