"""How much answers sound like their brand, day by day: scores of a sample, made once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, func, select

from service.storage.database import Database
from service.storage.tables import conversations, turns
from training.voice import TrainingError
from training.voice.kept import KeptVoices
from training.voice.model import VoiceModel

A_DAY = 20
"""Answers a brand and day at most, each of another conversation: about a millisecond each, off the event loop."""
MOST_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the bot."""

    turn: str
    at: datetime
    text: str


class Scores:
    """Scores answers once for each state of their brand's voice."""

    def __init__(self, db: Database, voices: KeptVoices) -> None:
        self._db = db
        self._voices = voices
        self._kept: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def sample(
        self, brand: str, first: date, count: int, *, most: int = A_DAY, of: ColumnElement[bool] | None = None
    ) -> list[Answer]:
        """Some answers of each day (UTC), at most one a conversation; the same ones each time.

        Args:
            brand: Whose.
            first: The first day.
            count: Of days.
            most: A day.
            of: Only turns of which this holds.
        """
        return await self._db.read(lambda c: _sample(c, brand, first, count, most, of))

    async def by_day(self, brand: str, answers: list[Answer]) -> Mapping[date, list[float]]:
        """Scores of answers by day (UTC), from 0 to 1; empty where the brand's voice is not known."""
        if not answers:
            return {}
        try:
            voice = await asyncio.to_thread(self._voices.of, brand)
        except (TrainingError, OSError):
            # A brand without examples of its own has no voice that could drift.
            return {}
        missing = [one for one in answers if (voice.inputs_sha256, one.turn) not in self._kept]
        if missing:
            scores = await asyncio.to_thread(lambda: [voice.score(one.text).score for one in missing])
            self._keep(voice, scores, missing)
        found: dict[date, list[float]] = {}
        for one in answers:
            score = self._kept.get((voice.inputs_sha256, one.turn))
            if score is not None:
                found.setdefault(one.at.date(), []).append(score)
        return found

    def _keep(self, voice: VoiceModel, scores: list[float], answers: list[Answer]) -> None:
        keys = ((voice.inputs_sha256, one.turn) for one in answers)
        self._kept.update(zip(keys, scores, strict=True))
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def answered(brand: str) -> Select[str]:
    """Ids of what the bot answered for a brand."""
    return (
        select(turns.c.id)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(conversations.c.brand == brand, conversations.c.about.is_(None))
        .where(turns.c.author.is_(None), turns.c.outcome == "answered", func.length(turns.c.text) > 0)
    )


def _sample(
    connection: Connection, brand: str, first: date, count: int, most: int, of: ColumnElement[bool] | None
) -> list[Answer]:
    """Ids are random, so those with the smallest are a sample. Answers of one conversation are alike, so one counts."""
    begins = datetime.fromisoformat(f"{first.isoformat()}T00:00:00+00:00")
    found: list[Answer] = []
    for number in range(count):
        since = begins + timedelta(days=number)
        day = answered(brand).where(turns.c.created_at >= since, turns.c.created_at < since + timedelta(days=1))
        if of is not None:
            day = day.where(of)
        one = func.min(turns.c.id)
        chosen = day.with_only_columns(one).group_by(turns.c.conversation_id).order_by(one).limit(most)
        query = select(turns.c.id, turns.c.created_at, turns.c.text).where(turns.c.id.in_(chosen)).order_by(turns.c.id)
        found += [Answer(turn, at, text) for turn, at, text in connection.execute(query)]
    return found
