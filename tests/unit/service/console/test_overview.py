"""The overview's figures, in SQLite or PostgreSQL, and its page."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from service.console import charts
from service.console.overview import figures
from service.console.overview.router import SUMS, Overview, tiles
from service.storage.database import Database, now
from service.storage.tables import conversations, feedback, handoffs, turns
from tests.unit.service.console.seats import Role, admin, in_database, seat
from tests.unit.service.doors import Door

NOON = datetime.combine(now().date(), datetime.min.time(), UTC) - timedelta(days=4) + timedelta(hours=12)
"""Four days ago: every day that is looked at is over."""


def conversation(connection: Connection, brand: str = "velmora", **more: Any) -> str:
    made = secrets.token_hex(8)
    row = {"id": made, "brand": brand, "channel": "web", "account": "a", "external_key": made, "created_at": NOON}
    connection.execute(insert(conversations).values(row | more))
    return made


def turn(
    connection: Connection, of: str, number: int, at: datetime, outcome: str | None = "answered", **more: Any
) -> str:
    made = secrets.token_hex(8)
    row = {
        "id": made, "conversation_id": of, "number": number, "question": "?", "state": "done", "text": "It is so.",
        "outcome": outcome, "citations": [], "created_at": at, "prompt_tokens": 100, "completion_tokens": 10,
        "timings": {"total": 1234.5},
    }  # fmt: skip
    connection.execute(insert(turns).values(row | more))
    return made


def look(connection: Connection, *brands: str) -> dict[date, figures.Day]:
    found = figures.days(connection, brands=brands or ("velmora",), first=NOON.date() - timedelta(days=2), count=4)
    assert [one.day for one in found] == [NOON.date() + timedelta(days=number) for number in (-2, -1, 0, 1)]
    return {one.day: one for one in found}


async def test_each_day_counts_what_happened_on_it(db: Database) -> None:
    def work(connection: Connection) -> None:
        one, other = conversation(connection), conversation(connection, "dicehollow")
        rated = turn(connection, one, 1, NOON)
        turn(connection, one, 2, NOON + timedelta(minutes=1), "refused", timings={"total": 4321})
        turn(connection, one, 3, NOON + timedelta(minutes=2), None, state="failed", timings=None, prompt_tokens=None)
        turn(connection, one, 4, NOON.replace(hour=0, minute=0) + timedelta(days=1), timings={"total": 99})
        turn(connection, other, 1, NOON, "refused")
        connection.execute(insert(feedback).values(turn_id=rated, value="down", at=NOON))
        late = NOON.replace(hour=23, minute=59)
        handed = {"id": "h", "brand": "velmora", "reason": "", "state": "open", "created_at": late, "attempts": 0}
        connection.execute(insert(handoffs).values(handed))
        found = look(connection)
        day = found[NOON.date()]
        assert (day.conversations, day.answers, day.refused, day.failed, day.handed_off) == (1, 2, 1, 1, 1)
        assert (day.up, day.down, day.prompt_tokens, day.completion_tokens) == (0, 1, 200, 30)
        assert day.latency == {12: 1, 43: 1}
        assert found[NOON.date() + timedelta(days=1)].latency == {0: 1}
        assert found[NOON.date() - timedelta(days=1)].conversations == 0
        assert look(connection, "velmora", "dicehollow")[NOON.date()].refused == 2
        days = list(found.values())
        assert (figures.percentile_ms(days, 0.5), figures.percentile_ms(days, 0.95)) == (1300, 4400)
        assert figures.percentile_ms(days[:1], 0.5) is None

    await db.write(work)


@pytest.mark.parametrize(
    ("said", "resolved"),
    [
        ([(0, "answered")], 1),
        ([(0, "refused"), (5, "answered")], 1),
        ([(0, "answered"), (5, "refused")], 0),
        ([(0, "answered"), (5, "handed_off")], 0),
        ([(0, "answered"), (5, "by a person")], 0),
        # Back within a day, and the second time a day later: only the first visit failed.
        ([(0, "answered"), (60 * 5, "answered")], 1),
        ([(0, "answered"), (60 * 25, "answered")], 2),
    ],
)
async def test_an_exchange_is_resolved_where_no_person_was_needed_and_nobody_came_back(
    db: Database, said: list[tuple[int, str]], resolved: int
) -> None:
    def work(connection: Connection) -> None:
        one = conversation(connection)
        for number, (minutes, outcome) in enumerate(said):
            by = {"author": "Anna", "outcome": None} if outcome == "by a person" else {}
            at = NOON - timedelta(days=1) + timedelta(minutes=minutes)
            turn(connection, one, number + 1, at, **({"outcome": outcome} | by))
        found = look(connection).values()
        assert sum(day.resolved for day in found) == resolved

    await db.write(work)


async def test_what_may_still_be_reopened_counts_neither_way(db: Database) -> None:
    def work(connection: Connection) -> None:
        one = conversation(connection)
        turn(connection, one, 1, now() - timedelta(hours=23))
        found = figures.days(connection, brands=("velmora",), first=now().date() - timedelta(days=1), count=2)
        assert sum(day.answers for day in found) == 1
        assert sum(day.exchanges for day in found) == 0

    await db.write(work)


def test_a_chart_holds_no_text_of_others_and_scales_round() -> None:
    drawn = charts.lines([("a", [1, None, 3, 1700])], ["<b>", "2", "3", "4"], title='"><script>')
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert ">2000<" in drawn
    assert "style=" not in drawn
    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 1
    assert ">1<" in charts.bars([0, 0], ["1", "2"], title="nothing")
    assert charts.spark([1, 2, None, 3], title="a").count("<polyline") == 2


def test_the_page_and_the_interface_tell_the_same(locked: Door) -> None:
    def work(connection: Connection) -> None:
        turn(connection, conversation(connection), 1, NOON)
        turn(connection, conversation(connection, "dicehollow"), 1, NOON)

    in_database(locked, work)
    agent = seat(locked, {"velmora": Role.AGENT}, "agent@example.com")
    found = Overview.model_validate(agent.get("/v1/overview?days=7").json())
    assert (found.brands, found.total.conversations, found.total.resolved_share) == (["velmora"], 1, 1.0)
    assert found.total.voice is not None
    assert admin(locked).get("/v1/overview?days=7").json()["total"]["conversations"] == 2
    page = agent.get("/console/overview?days=7")
    assert page.status_code == 200
    assert page.text.count("<figure") == 7
    assert "100%" in page.text
    assert agent.get("/console/overview?days=1000").status_code == 400
    assert agent.get("/console/overview?brand=dicehollow").status_code == 403


def test_changes_are_told_in_points_for_shares() -> None:
    empty = dict.fromkeys(SUMS, 0)
    nothing = empty | {"resolved_share": None, "p50_ms": None, "p95_ms": None, "voice": None}
    some = nothing | {"conversations": 30, "resolved_share": 0.8, "p50_ms": 1500}
    before = nothing | {"conversations": 20, "resolved_share": 0.7}
    found = Overview.model_validate({"brands": [], "total": some, "before": before, "days": []})
    told = {one.name: one for one in tiles(found)}
    assert told["conversations"].change == 0.5
    assert told["resolved"].change == pytest.approx(0.1)
    assert told["p50"].change is None
    assert told["thumbs"].value is None


def test_whoever_sets_the_console_up_is_led_and_each_step_is_ticked_off_by_what_is_there(door: Door) -> None:
    boss = admin(door)
    page = boss.get("/console/overview").text
    assert "0 of" in page and "Talk to a brand as a customer does" in page and "/console/people" in page
    in_database(door, lambda c: turn(c, conversation(c), 1, NOON))
    seat(door, {"velmora": Role.AGENT}, "ben@example.com")
    assert "2 of" in boss.get("/console/overview").text
    agent = seat(door, {"velmora": Role.AGENT}, "cleo@example.com").get("/console/overview").text
    assert "Correct an answer" in agent
    assert "/console/people" not in agent


def test_after_fifty_answers_nobody_is_led_any_more(door: Door) -> None:
    boss = admin(door)

    def work(connection: Connection) -> None:
        of = conversation(connection)
        for number in range(1, 51):
            turn(connection, of, number, NOON)

    in_database(door, work)
    assert "Talk to a brand as a customer does" not in boss.get("/console/overview").text
