"""How the voice of the version that speaks is beside itself when it was new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, func, or_

from configs.brand import Brand
from configs.home import Home
from configs.verdict import BASE_VERSION
from service.engines.adapters import active_version
from service.errors import brand_of
from service.retraining.rule import Finding, judge
from service.retraining.scores import Answer, Scores, answered
from service.storage.database import Database, now
from service.storage.tables import turns


@dataclass(frozen=True, slots=True)
class Day:
    """The scores of one day."""

    day: date
    mean: float | None
    answers: int
    """That were scored."""
    over_days: float | None
    """The mean of this day and those before it that the alarm looks at; None with too few answers."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a voice has been."""

    brand: str
    version: str | None
    """That speaks now; None where the base model does."""
    since: date | None
    """Its first day."""
    finding: Finding | None
    counted: tuple[int, int]
    """Answers of the baseline and of the last days."""
    days: tuple[Day, ...] = ()


class Drift:
    """Reports on voices."""

    def __init__(
        self, db: Database, home: Home, brands: Mapping[str, Brand], scores: Scores, clock: Callable[[], datetime] = now
    ) -> None:
        """Open it.

        Args:
            db: Holds the answers.
            home: Says which version speaks.
            brands: The deployment's.
            scores: Of answers.
            clock: The present moment, with its zone.
        """
        self._db = db
        self._home = home
        self._brands = brands
        self._scores = scores
        self._clock = clock
        self._first: dict[tuple[str, str | None], date] = {}

    async def report(self, brand: str, *, days: int = 0) -> Report:
        """How the voice of a brand is.

        Args:
            brand: Whose.
            days: So many days are told one by one, whichever version spoke.

        Raises:
            BrandUnknown: There is no such brand.
        """
        rule = brand_of(self._brands, brand).retraining.drift
        version = await asyncio.to_thread(active_version, self._home, brand)
        shown = await self._days(brand, days) if days else ()
        since = await self._since(brand, version) if rule else None
        if rule is None or since is None:
            return Report(brand, version, since, None, (0, 0), shown)
        today = self._clock().date()
        recent_from = max(since, today - timedelta(days=rule.days - 1))
        count = min(rule.baseline_days, (recent_from - since).days)
        mine = _of(version)
        before = await self._scores.sample(brand, since, count, of=mine)
        after = await self._scores.sample(brand, recent_from, (today - recent_from).days + 1, of=mine)
        counted = len(before), len(after)
        if min(counted) < rule.answers:
            # The voice is learnt only where there is something to say: that takes seconds.
            return Report(brand, version, since, None, counted, shown)
        finding = judge(await self._all(brand, before), await self._all(brand, after), rule)
        return Report(brand, version, since, finding, counted, shown)

    async def _all(self, brand: str, answers: list[Answer]) -> list[float]:
        found = await self._scores.by_day(brand, answers)
        return [score for scores in found.values() for score in scores]

    async def _days(self, brand: str, count: int) -> tuple[Day, ...]:
        rule = self._brands[brand].retraining.drift
        span = rule.days if rule else 1
        first = self._clock().date() - timedelta(days=count + span - 2)
        found = await self._scores.by_day(brand, await self._scores.sample(brand, first, count + span - 1))
        days = [first + timedelta(days=number) for number in range(count + span - 1)]
        scores = [found.get(day, []) for day in days]
        # A line through fewer would show noise.
        least = max(2, rule.answers // 3) if rule else 2
        told = []
        for at in range(span - 1, len(days)):
            together = [score for one in scores[at - span + 1 : at + 1] for score in one]
            told.append(Day(days[at], _mean(scores[at]), len(scores[at]), _mean(together, least)))
        return tuple(told)

    async def _since(self, brand: str, version: str | None) -> date | None:
        """The first day on which a version answered; looked up once, since only deletion could change it."""
        known = self._first.get((brand, version))
        if known is None:
            query = answered(brand).where(_of(version)).with_only_columns(func.min(turns.c.created_at))
            found = await self._db.read(lambda connection: connection.execute(query).scalar())
            if found is None:
                return None
            known = self._first[brand, version] = found.date()
        return known


def _of(version: str | None) -> ColumnElement[bool]:
    if version is not None:
        return turns.c.adapter_version == version
    return or_(turns.c.adapter_version.is_(None), turns.c.adapter_version.in_(("", "none", BASE_VERSION)))


def _mean(scores: Sequence[float], least: int = 1) -> float | None:
    return round(sum(scores) / len(scores), 4) if len(scores) >= least else None
