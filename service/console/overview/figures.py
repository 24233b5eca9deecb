"""How a brand's conversations went, day by day: one set of statements for SQLite and PostgreSQL. Days are UTC.

An *exchange* is what a customer and the bot say to each other without a break of half an hour. It is resolved where no
person was needed, the last answer was no refusal, and the customer did not come back within a day after it. The last
exchanges, of which a day has not passed yet, count neither way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Integer,
    String,
    and_,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from service.storage.tables import conversations, feedback, handoffs, turns

BREAK_S = 30 * 60
"""A longer silence ends an exchange."""
BACK_S = 24 * 3600
STEP_MS = 100
"""Exactness of latencies: turns are counted in steps of so many milliseconds."""


@dataclass(slots=True)
class Day:
    """What happened on one day."""

    day: date
    conversations: int = 0
    """That had at least one turn."""
    answers: int = 0
    """Turns of the bot that came to an end."""
    refused: int = 0
    handed_off: int = 0
    failed: int = 0
    exchanges: int = 0
    """That can be told resolved or not."""
    resolved: int = 0
    up: int = 0
    down: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    """Answers by the step of `STEP_MS` in which they were ready."""
    voice: list[float] = field(default_factory=list)
    """Scores of a sample of answers; see `service.console.drift`."""


def days(connection: Connection, *, brands: Sequence[str], first: date, count: int) -> list[Day]:
    """Each day of a time, those without anything included.

    Args:
        connection: Of a transaction that reads.
        brands: Whose conversations.
        first: The first day.
        count: Of days.
    """
    found = {first + timedelta(days=number): Day(first + timedelta(days=number)) for number in range(count)}
    reading = _Reading(connection, brands, first, count)
    for rows in (reading.answers(), reading.handed_off(), reading.thumbs(), reading.resolved()):
        for day, *values in rows:
            one = found.get(_date(day))
            if one is not None:
                for name, value in values:
                    setattr(one, name, value)
    for day, step, number in reading.latencies():
        if _date(day) in found:
            found[_date(day)].latency[int(step)] = number
    return list(found.values())


def percentile_ms(days: Sequence[Day], share: float) -> int | None:
    """Upper end of the step below which this share of answers lies, over these days; None without answers."""
    steps: dict[int, int] = {}
    for day in days:
        for step, number in day.latency.items():
            steps[step] = steps.get(step, 0) + number
    left = share * sum(steps.values())
    for step in sorted(steps):
        left -= steps[step]
        if left <= 0:
            return (step + 1) * STEP_MS
    return None


class _Reading:
    """One statement a figure."""

    def __init__(self, connection: Connection, brands: Sequence[str], first: date, count: int) -> None:
        self._connection = connection
        self._sqlite = connection.dialect.name == "sqlite"
        self._brands = brands
        begins = datetime.fromisoformat(f"{first.isoformat()}T00:00:00+00:00")
        self._of_bot = and_(
            conversations.c.brand.in_(brands), conversations.c.about.is_(None), turns.c.author.is_(None)
        )
        self._begins, self._ends = begins, begins + timedelta(days=count)

    def _day(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The UTC day of a moment."""
        if self._sqlite:
            return func.strftime("%Y-%m-%d", column, type_=String)
        return cast(func.timezone("UTC", column), Date)

    def _seconds(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A moment as seconds since 1970."""
        if self._sqlite:
            return cast(func.strftime("%s", column, type_=String), Integer)
        return func.extract("epoch", column)

    def _within(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(column >= self._begins, column < self._ends)

    def answers(self) -> Any:
        """Conversations, answers, refusals, failures, tokens."""
        done = turns.c.state == "done"
        day = self._day(turns.c.created_at)
        query = (
            select(
                day,
                func.count(turns.c.conversation_id.distinct()),
                _count(done),
                _count(and_(done, turns.c.outcome == "refused")),
                _count(turns.c.state == "failed"),
                func.coalesce(func.sum(turns.c.prompt_tokens), 0),
                func.coalesce(func.sum(turns.c.completion_tokens), 0),
            )
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .where(self._of_bot, self._within(turns.c.created_at))
            .group_by(day)
        )
        names = ("conversations", "answers", "refused", "failed", "prompt_tokens", "completion_tokens")
        return self._named(query, names)

    def handed_off(self) -> Any:
        """Hand-overs, those of the API's callers included."""
        day = self._day(handoffs.c.created_at)
        query = (
            select(day, func.count())
            .where(handoffs.c.brand.in_(self._brands), self._within(handoffs.c.created_at))
            .group_by(day)
        )
        return self._named(query, ("handed_off",))

    def thumbs(self) -> Any:
        """By the day on which they were given."""
        day = self._day(feedback.c.at)
        query = (
            select(day, _count(feedback.c.value == "up"), _count(feedback.c.value == "down"))
            .join(turns, turns.c.id == feedback.c.turn_id)
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .where(conversations.c.brand.in_(self._brands), self._within(feedback.c.at))
            .group_by(day)
        )
        return self._named(query, ("up", "down"))

    def latencies(self) -> Any:
        """Answers by day and step of time."""
        day = self._day(turns.c.created_at)
        steps = turns.c.timings["total"].as_float() / STEP_MS
        # SQLite's cast cuts off, PostgreSQL's rounds; not every SQLite has floor.
        step = cast(steps if self._sqlite else func.floor(steps), Integer)
        query = (
            select(day, step, func.count())
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .where(self._of_bot, turns.c.state == "done", self._within(turns.c.created_at))
            .where(turns.c.timings["total"].as_float().is_not(None))
            .group_by(day, step)
        )
        return self._connection.execute(query)

    def resolved(self) -> Any:
        """Exchanges that are over for a day, and those of them that were resolved."""
        at = self._seconds(turns.c.created_at)
        in_order: dict[str, Any] = {"partition_by": turns.c.conversation_id, "order_by": turns.c.number}
        by_person = or_(turns.c.author.is_not(None), turns.c.outcome == "handed_off")
        spoken = (
            select(
                turns.c.conversation_id.label("conversation"),
                turns.c.number.label("number"),
                turns.c.created_at.label("created_at"),
                at.label("at"),
                case((by_person, 1), else_=0).label("person"),
                case((turns.c.outcome.in_(("answered", "small_talk")), 1), else_=0).label("good"),
                case((at - func.lag(at).over(**in_order) <= BREAK_S, 0), else_=1).label("begins"),
            )
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .where(conversations.c.brand.in_(self._brands), conversations.c.about.is_(None))
            # A day more, so that whoever came back after the time is seen.
            .where(turns.c.created_at >= self._begins, turns.c.created_at < self._ends + timedelta(days=1))
            .subquery()
        )
        order: dict[str, Any] = {"partition_by": spoken.c.conversation, "order_by": spoken.c.number}
        numbered = select(*spoken.c, func.sum(spoken.c.begins).over(**order).label("exchange")).subquery()
        last = func.max(numbered.c.number)
        whole = (
            select(
                numbered.c.conversation,
                numbered.c.exchange,
                func.min(numbered.c.created_at).label("began"),
                func.min(numbered.c.at).label("first"),
                func.max(numbered.c.at).label("last"),
                func.max(numbered.c.person).label("person"),
                # The last turn has the greatest number: its last digit says whether it was good.
                (func.max(numbered.c.number * 2 + numbered.c.good) - last * 2).label("good"),
            )
            .group_by(numbered.c.conversation, numbered.c.exchange)
            .subquery()
        )
        after: dict[str, Any] = {"partition_by": whole.c.conversation, "order_by": whole.c.exchange}
        judged = select(
            whole.c.began,
            whole.c.last,
            whole.c.person,
            whole.c.good,
            (func.lead(whole.c["first"]).over(**after) - whole.c.last).label("back"),
        ).subquery()
        day = self._day(judged.c.began)
        good = and_(judged.c.person == 0, judged.c.good == 1, or_(judged.c.back.is_(None), judged.c.back > BACK_S))
        over = judged.c.last <= self._seconds(func.now() if not self._sqlite else literal_column("'now'")) - BACK_S
        query = select(day, _count(over), _count(and_(over, good))).group_by(day)
        return self._named(query, ("exchanges", "resolved"))

    def _named(self, query: Any, names: Sequence[str]) -> Any:
        for day, *values in self._connection.execute(query):
            yield day, *zip(names, (int(value) for value in values), strict=True)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _date(day: str | date) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day
