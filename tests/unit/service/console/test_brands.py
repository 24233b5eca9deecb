"""Brands over HTTP and on pages, at a real gateway without an engine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from service.brands.template import templates
from service.console.brands.router import TEMPLATE_WORDS
from tests.patience import PATIENCE_S
from tests.unit.service.console.seats import Browser, Role, admin, seat
from tests.unit.service.doors import Door

NEW = {"template": "shop", "answers": {"company": "Fernhill"}}
AT = "/v1/brands/fernhill"


@pytest.fixture
def boss(door: Door) -> Browser:
    return admin(door)


def made(boss: Browser) -> Any:
    answer = boss.send("/v1/brands", json=NEW)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_brand_is_made_indexed_and_listed(boss: Browser) -> None:
    shown = made(boss)
    assert (shown["name"], shown["made"]) == ("fernhill", True)
    deadline = time.monotonic() + PATIENCE_S
    while (found := boss.get(f"{AT}/index").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (found["state"], found["documents"], found["skipped"]) == ("done", 11, [])
    listed = {one["name"]: one for one in boss.get("/v1/brands").json()["brands"]}
    assert listed["fernhill"]["documents"] == 11
    assert boss.get("/shop/fernhill").status_code == 200
    actions = [one["action"] for one in boss.get("/v1/audit?brand=fernhill").json()["changes"]]
    assert actions == ["brand.made"]


def test_an_admin_of_one_brand_makes_and_archives_none_and_edits_no_whole_file(door: Door, boss: Browser) -> None:
    made(boss)
    own = seat(door, {"fernhill": Role.ADMIN}, "fern@example.com")
    assert own.send("/v1/brands", json=NEW).status_code == 403
    assert own.get("/console/brands/new").status_code == 403
    assert own.get(f"{AT}/file").status_code == 403
    assert own.send(f"{AT}/file", "PUT", json={"text": "name: fernhill"}).status_code == 403
    assert own.send(AT, "DELETE").status_code == 403
    changed = own.send(f"{AT}/settings", "PATCH", json={"settings": {"greeting": "Good day."}})
    assert changed.json()["settings"]["greeting"] == "Good day."
    page = own.get("/console/brands").text
    assert "fernhill" in page
    assert "velmora" not in page


def test_what_is_wrong_is_told_with_its_line_and_changes_nothing(boss: Browser) -> None:
    made(boss)
    file = boss.get(f"{AT}/file").json()
    wrong = file["text"].replace("words:", "wrods:")
    answer = boss.send(f"{AT}/file", "PUT", json={"text": wrong})
    line = wrong.split("wrods:")[0].count("\n") + 1
    assert answer.status_code == 400
    assert f"brands/fernhill.yaml:{line}: wrods is not a known key" in answer.json()["error"]["message"]
    assert boss.get(f"{AT}/file").json() == file
    stale = boss.send(f"{AT}/file", "PUT", json={"text": file["text"] + "\n", "revision": "another"})
    assert stale.status_code == 409


def test_conversations_are_put_in_changed_and_taken_out(boss: Browser) -> None:
    made(boss)
    exchange = {"said": "Ferns?", "reply": "Sure.", "outcome": "answered", "documents": ["contact.md"]}
    kept = boss.send(f"{AT}/examples", json={"topic": "plants", "exchanges": [exchange]}).json()
    at = f"{AT}/examples/{kept['id']}"
    changed = boss.send(at, "PUT", json={"topic": "plants", "exchanges": [exchange | {"reply": "Sure, in May."}]})
    assert changed.json()["exchanges"][0]["reply"] == "Sure, in May."
    assert boss.send(at, "PUT", json={"exchanges": [exchange | {"documents": []}]}).status_code in (400, 422)
    assert boss.send(at, "DELETE").status_code == 204
    assert boss.send(at, "DELETE").status_code == 404
    assert len(boss.get(f"{AT}/examples").json()["examples"]) == 55


def test_what_cannot_be_stored_is_left_out(boss: Browser) -> None:
    made(boss)
    answer = boss.send(
        f"{AT}/settings", "PATCH", json={"settings": {"greeting": "Hi\x00 there", "keywords": ["le\x00af"]}}
    )
    assert answer.json()["settings"]["greeting"] == "Hi there"
    assert answer.json()["settings"]["keywords"] == ["leaf"]


def test_a_voice_guide_is_read_and_replaced(boss: Browser) -> None:
    made(boss)
    assert "The voice of Fernhill" in boss.get(f"{AT}/voice-guide").json()["text"]
    assert boss.send(f"{AT}/voice-guide", "PUT", json={"text": "Be brief."}).json()["text"] == "Be brief.\n"
    assert boss.send(f"{AT}/voice-guide", "PUT", json={"text": "x" * 9000}).status_code == 400


def test_a_configured_brand_is_shown_and_not_changed(boss: Browser) -> None:
    assert boss.get("/v1/brands/velmora/settings").json()["made"] is False
    assert "configs/brands/velmora.yaml" in boss.get("/console/brands/velmora").text
    for method, path, body in (
        ("PATCH", "settings", {"settings": {"greeting": "x"}}),
        ("PUT", "voice-guide", {"text": "x"}),
        ("PUT", "file", {"text": "x"}),
        ("POST", "index", {}),
        ("POST", "examples", {"exchanges": [{"said": "a", "reply": "b", "outcome": "small_talk"}]}),
    ):
        assert boss.send(f"/v1/brands/velmora/{path}", method, json=body).status_code == 404, path
    assert boss.send("/v1/brands/velmora", "DELETE").status_code == 404


def test_every_word_of_a_template_s_form_can_be_translated() -> None:
    said = set()
    for one in templates().values():
        said |= {one.about.title, one.about.about}
        said |= {text for blank in one.about.blanks for text in (blank.label, blank.hint) if text}
    assert said == set(TEMPLATE_WORDS)
