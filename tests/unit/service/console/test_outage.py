"""While customers get no answers, every page says so, and says when it is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.console.outage import BROKEN, DOWN, RESTING, STARTING, Outage, outage_of
from service.errors import EngineFailed
from tests.unit.service.console.seats import admin
from tests.unit.service.doors import Door


@pytest.mark.parametrize(
    ("state", "failure", "breakers", "expected"),
    [
        ("ready", None, ["closed"], None),
        ("ready", None, ["open", "closed"], None),
        ("ready", None, ["open", "half-open"], None),
        ("ready", None, ["open", "open"], RESTING),
        ("starting", None, ["closed"], STARTING),
        ("down", None, ["open"], DOWN),
        ("starting", EngineFailed("no memory"), ["closed"], BROKEN),
    ],
)
def test_what_keeps_the_model_from_answering(state: str, failure: Any, breakers: Any, expected: Outage | None) -> None:
    gateway: Any = SimpleNamespace(
        engine=SimpleNamespace(state=state, failure=failure),
        breakers={str(at): SimpleNamespace(state=one) for at, one in enumerate(breakers)},
    )
    assert outage_of(gateway) is expected


def test_a_page_that_is_left_open_says_when_an_outage_begins_and_ends(door: Door) -> None:
    person, engine = admin(door), door.gateway.engine
    engine.state = "ready"
    assert "The model" not in person.get("/console/overview").text
    assert person.get("/console/outage?shown=").status_code == 204
    engine.state = "down"
    assert DOWN.text in person.get("/console/inbox").text
    part = person.get("/console/outage?shown=")
    assert part.status_code == 200
    assert DOWN.text in part.text
    assert 'value="down"' in part.text
    assert person.get("/console/outage?shown=down").status_code == 204
    engine.state = "ready"
    assert "The model" not in person.get("/console/outage?shown=down").text


def test_who_is_not_signed_in_is_told_nothing(door: Door) -> None:
    door.gateway.engine.state = "down"
    assert "The model" not in door.client.get("/console/sign-in").text
    assert door.client.get("/console/outage", follow_redirects=False).status_code == 303
