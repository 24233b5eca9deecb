"""The alarm on drift as people see it: banner, plan, quiet, and the same over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from configs.home import Home
from service.retraining import state
from service.retraining.state import Alarm, Outcome, State
from service.storage.database import now
from tests.unit.service.console.seats import Role, in_database, seat
from tests.unit.service.doors import Door

BRAND = "velmora"


def known(door: Door, **values: Any) -> None:
    """What the keeper would have found; it looks at this brand only later."""
    at = now()
    fixed = State(version=None, looked_at=at, schedule_from=at, **values)
    in_database(door, lambda connection: state.change(connection, BRAND, lambda _: fixed))


def alarm() -> Alarm:
    return Alarm(since=now() - timedelta(days=2), recent=0.61, baseline=0.9, limit=0.82, answers=120)


def test_an_alarm_is_shown_with_its_numbers_and_buttons_for_who_may_use_them(locked: Door) -> None:
    known(locked, alarm=alarm())
    editor = seat(locked, {BRAND: Role.EDITOR}, "dewi@example.com")
    page = editor.get("/console/overview").text
    for word in ("velmora sounds less like itself", "0.61", "0.9", "0.82", "Train now", "Quiet for a week"):
        assert word in page, word
    agent = seat(locked, {BRAND: Role.AGENT}, "budi@example.com")
    page = agent.get("/console/overview").text
    assert "sounds less like itself" in page
    assert "Train now" not in page
    assert "Quiet for a week" not in page
    other = seat(locked, {"dicehollow": Role.ADMIN}, "citra@example.com")
    assert "sounds less like itself" not in other.get("/console/overview").text


def test_quiet_hides_the_alarm_and_stands_in_the_log(locked: Door) -> None:
    known(locked, alarm=alarm())
    editor = seat(locked, {BRAND: Role.EDITOR}, "dewi@example.com")
    assert editor.send(f"/console/overview/brands/{BRAND}/quiet", data={"days": "7"}).status_code == 303
    page = editor.get("/console/overview").text
    assert "sounds less like itself" not in page
    assert "quiet, asked for by Dewi, until" in page
    told = editor.get(f"/v1/brands/{BRAND}/drift").json()
    assert (told["quiet_by"], told["alarm"]["recent"]) == ("Dewi", 0.61)
    assert editor.get("/v1/audit").json()["changes"][0]["action"] == "drift.quiet"
    assert editor.send(f"/v1/brands/{BRAND}/drift/quiet", json={"days": 0}).status_code == 200
    assert "sounds less like itself" in editor.get("/console/overview").text
    assert editor.send(f"/v1/brands/{BRAND}/drift/quiet", json={"days": 91}).status_code == 400


def test_the_plan_says_what_came_of_the_last_training_and_when_the_next_may_begin(locked: Door) -> None:
    at = now()
    why = "refused: voice is <b>worse</b>"
    refused = Outcome(came="refused", at=at, version="v1", why=why)
    known(locked, alarm=alarm(), outcome=refused, failures=1, paused_until=at + timedelta(hours=6), held="paused")
    editor = seat(locked, {BRAND: Role.EDITOR}, "dewi@example.com")
    page = editor.get("/console/overview").text
    assert "The gate did not let v1 pass:" in page
    assert "voice is &lt;b&gt;worse" in page
    assert "Nothing starts by itself before" in page
    plan = editor.get(f"/v1/brands/{BRAND}/retraining").json()
    assert (plan["held"], plan["outcome"]["why"], plan["corrections"]) == ("paused", why, 0)
    assert (plan["plan"]["start"], plan["plan"]["promote"], plan["next_at"]) == ("ask", "person", None)


def test_a_version_that_passed_waits_in_sight(locked: Door, home: Home) -> None:
    (home.adapters / BRAND / "v7").mkdir(parents=True)
    known(locked, outcome=Outcome(came="waits", at=now(), version="v7", job="j"))
    page = seat(locked, {BRAND: Role.ADMIN}, "anna@example.com").get("/console/overview").text
    assert "A new voice of velmora waits for you" in page
    assert "/console/training/jobs/j" in page
    answer = seat(locked, {BRAND: Role.AGENT}, "budi@example.com").get(f"/v1/brands/{BRAND}/drift?days=7").json()
    assert (answer["finding"], answer["counted"], len(answer["days"])) == (None, [0, 0], 7)
