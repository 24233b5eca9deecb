"""How much answers sound like their brand, day by day: scores of a sample, kept by turn since they never change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from configs.brand import Brand
from configs.home import Home
from service.storage.database import Database
from service.storage.tables import conversations, turns
from training.voice import TrainingError
from training.voice.brand import voice_of

A_DAY = 5
"""Answers a brand and day that are scored: some milliseconds each, off the event loop."""
MOST_KEPT = 20_000


class Drift:
    """Scores answers once."""

    def __init__(self, db: Database, home: Home, brands: Mapping[str, Brand]) -> None:
        self._db = db
        self._home = home
        self._brands = brands
        self._kept: OrderedDict[str, float] = OrderedDict()

    async def scores(self, *, brands: Sequence[str], first: date, count: int) -> Mapping[date, list[float]]:
        """Scores by day (UTC), from 0 to 1; a brand whose voice is not known has none."""
        found: dict[date, list[float]] = {}
        for brand in brands:
            rows = await self._db.read(lambda c, brand=brand: _sample(c, brand, first, count))  # type: ignore[misc]
            missing = {turn: text for turn, _, text in rows if turn not in self._kept}
            if missing:
                self._keep(await asyncio.to_thread(self._score, brand, missing))
            for turn, at, _ in rows:
                if turn in self._kept:
                    found.setdefault(at.date(), []).append(self._kept[turn])
        return found

    def _keep(self, scores: Mapping[str, float]) -> None:
        self._kept.update(scores)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _score(self, brand: str, texts: Mapping[str, str]) -> dict[str, float]:
        try:
            model = voice_of(self._brands[brand], self._home)
        except TrainingError:
            # A brand without examples of its own has no voice that could drift.
            return {}
        return {turn: model.score(text).score for turn, text in texts.items()}


def _sample(connection: Connection, brand: str, first: date, count: int) -> list[tuple[str, datetime, str]]:
    """Some answers of each day, the same ones each time: ids are random, so those with the smallest are a sample."""
    begins = datetime.fromisoformat(f"{first.isoformat()}T00:00:00+00:00")
    found: list[tuple[str, datetime, str]] = []
    for number in range(count):
        since = begins + timedelta(days=number)
        query = (
            select(turns.c.id, turns.c.created_at, turns.c.text)
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .where(conversations.c.brand == brand, turns.c.author.is_(None), turns.c.outcome == "answered")
            .where(turns.c.created_at >= since, turns.c.created_at < since + timedelta(days=1))
            .where(func.length(turns.c.text) > 0)
            .order_by(turns.c.id)
            .limit(A_DAY)
        )
        found += [(turn, at, text) for turn, at, text in connection.execute(query)]
    return found
