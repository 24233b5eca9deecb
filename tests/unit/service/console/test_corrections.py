"""Corrections at a real gateway: pages and API, by people with and without the right."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from configs.home import Home
from retrieval.knowledge import store
from retrieval.testing import HashEncoder, write_pages
from service.console.person import Role
from service.console.words import words
from tests.unit.service.console.seats import EVERY, Browser, browser, in_database, seat
from tests.unit.service.corrections.support import BETTER, BRAND, QUESTION, answered
from tests.unit.service.doors import KEY, Door
from training.conversations import read_conversations, read_questions


@pytest.fixture
def knowledge(home: Home, tmp_path: Path) -> None:
    store.add(home.knowledge, BRAND, write_pages(tmp_path / "pages"), HashEncoder())


def turn_of(door: Door, question: str = QUESTION, **more: Any) -> str:
    portal = door.client.portal
    assert portal is not None
    turn: str = portal.call(lambda: answered(door.gateway.db, question, **more))
    return turn


def fields(page: str) -> dict[str, str]:
    """The hidden fields of a form."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


@pytest.mark.usefixtures("knowledge")
def test_an_agent_proposes_and_an_editor_accepts_on_pages(door: Door, home: Home) -> None:
    agent = seat(door, {BRAND: Role.AGENT}, "ben@example.com")
    editor = seat(door, {BRAND: Role.EDITOR}, "cleo@example.com")
    turn = turn_of(door)
    page = agent.get("/console/corrections").text
    assert QUESTION in page
    assert f"/console/corrections/new/{turn}" in page
    form = agent.get(f"/console/corrections/new/{turn}?kind=voice")
    assert "You have 30 days. We remain at your disposal." in form.text
    given = fields(form.text) | {"corrected": BETTER, "why": "too short", "outcome": "answered"}
    wrong = agent.send(f"/console/corrections/new/{turn}", data=given | {"documents": "none.md"})
    assert wrong.status_code == 400
    assert BETTER in wrong.text, "what was typed stands there again"
    sent = agent.send(f"/console/corrections/new/{turn}", data=given | {"documents": "returns.md"})
    assert sent.status_code == 303, sent.text
    assert BETTER in agent.get(sent.headers["location"]).text
    assert agent.get(f"/console/corrections/review/{BRAND}").status_code == 403
    queue = editor.get(f"/console/corrections/review/{BRAND}")
    assert BETTER in queue.text
    assert "Ben" in queue.text
    one = sent.headers["location"].rpartition("/")[2]
    done = editor.send(f"/console/corrections/{one}/review", data={"verdict": "accept", "note": "good"})
    assert done.status_code == 303, done.text
    (conversation,) = read_conversations(home.corrections(BRAND).conversations)
    assert conversation.messages[-1].content == BETTER
    seen = editor.get(f"/console/corrections/{one}").text
    assert "Cleo" in seen
    assert "good" in seen
    everywhere = seat(door, {EVERY: Role.ADMIN}, "anna@example.com")
    changes = everywhere.get("/v1/audit?action=correction").json()["changes"]
    assert [(change["action"], change["by"]) for change in changes] == [
        ("correction.accepted", "Cleo"),
        ("correction.proposed", "Ben"),
    ]
    assert BETTER not in json.dumps(changes)


@pytest.mark.usefixtures("knowledge")
def test_a_fact_is_put_right_on_a_page_with_what_changes_shown_first(door: Door, home: Home) -> None:
    editor = seat(door, {BRAND: Role.EDITOR}, "cleo@example.com")
    turn = turn_of(door)
    form = editor.get(f"/console/corrections/new/{turn}?kind=fact&document=returns.md").text
    text = unescape(re.search(r'<textarea id="text"[^>]*>\n(.*?)</textarea>', form, re.DOTALL)[1])  # type: ignore[index]
    given = fields(form) | {"text": text.replace("30 days", "45 days"), "holds": "45 days"}
    part = editor.send(f"/console/corrections/brands/{BRAND}/difference", data=given)
    assert part.text.count("<del>") == part.text.count("<ins>") == 1
    sent = editor.send(f"/console/corrections/new/{turn}", data=given)
    one = sent.headers["location"].rpartition("/")[2]
    assert editor.send(f"/console/corrections/{one}/review", data={"verdict": "accept"}).status_code == 303
    assert "45 days" in editor.get(f"/v1/corrections/brands/{BRAND}/page?document=returns.md").json()["text"]
    (question,) = read_questions(home.corrections(BRAND).questions)
    assert question.answer_contains == ("45 days",)


@pytest.mark.usefixtures("knowledge")
def test_the_api_does_what_the_pages_do(locked: Door, home: Home) -> None:
    turn = turn_of(locked)
    headers = {"Authorization": f"Bearer {KEY}"}

    def ask(method: str, path: str, **more: Any) -> Any:
        return locked.client.request(method, f"/v1/corrections{path}", headers=headers, **more)

    draft = ask("GET", f"/turns/{turn}").json()
    assert (draft["question"], draft["documents"]) == (QUESTION, ["returns.md"])
    given = {"kind": "voice", "corrected": BETTER, "by": "Ben"}
    one = ask("POST", f"/turns/{turn}", json=given)
    assert one.status_code == 201, one.text
    assert one.json()["proposed_by"] == "Ben"
    assert ask("POST", f"/turns/{turn}", json=given).status_code == 409
    name = one.json()["id"]
    assert ask("PATCH", f"/{name}", json={"corrected": "With pleasure: within 30 days."}).json()["revision"] == 2
    assert [waiting["id"] for waiting in ask("GET", f"/brands/{BRAND}/queue?by=Cleo").json()["corrections"]] == [name]
    done = ask("POST", f"/{name}/review", json={"accepts": True, "by": "Cleo"}).json()
    assert (done["state"], done["reviews"][0]["by"]) == ("accepted", "Cleo")
    rows = ask("GET", f"/brands/{BRAND}/export").text.splitlines()
    assert [json.loads(row)["messages"][-1]["content"] for row in rows] == ["With pleasure: within 30 days."]
    assert json.loads(ask("GET", f"/brands/{BRAND}/export?file=pairs").text)["rejected"].startswith("You have 30")
    told = ask("GET", f"/brands/{BRAND}/agreement").json()
    assert (told["counts"], told["both"], told["kappa"]) == ({"accepted": {"voice": 1}}, 0, None)
    lines = ask("POST", f"/brands/{BRAND}/difference", json={"document": "contact.md", "text": "# Contact\n"}).json()
    assert {line["sign"] for line in lines["lines"]} >= {"-", " "}
    assert ask("POST", f"/{name}/withdraw").json()["state"] == "withdrawn"
    assert ask("GET", f"/brands/{BRAND}/export").text == ""
    assert ask("GET", "/none").status_code == 404
    assert ask("GET", "?state=withdrawn").json()["corrections"][0]["id"] == name
    assert ask("GET", f"/brands/{BRAND}/pages").json()["documents"] == ["contact.md", "returns.md", "shipping.md"]


def routes(one: str, turn: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every route of corrections, with what it needs."""
    body: dict[str, Any] = {"json": {"kind": "voice", "corrected": "x"}}
    edit: dict[str, Any] = {"json": {"document": "returns.md", "text": "x"}}
    return [
        ("GET", f"/v1/corrections?brand={BRAND}", {}),
        ("POST", f"/v1/corrections/turns/{turn}", body),
        ("GET", f"/v1/corrections/turns/{turn}", {}),
        ("GET", f"/v1/corrections/brands/{BRAND}/pages", {}),
        ("GET", f"/v1/corrections/brands/{BRAND}/page?document=returns.md", {}),
        ("POST", f"/v1/corrections/brands/{BRAND}/difference", edit),
        ("GET", f"/v1/corrections/brands/{BRAND}/queue", {}),
        ("GET", f"/v1/corrections/brands/{BRAND}/agreement", {}),
        ("GET", f"/v1/corrections/brands/{BRAND}/export", {}),
        ("GET", f"/v1/corrections/{one}", {}),
        ("PATCH", f"/v1/corrections/{one}", {"json": {"corrected": "x"}}),
        ("POST", f"/v1/corrections/{one}/review", {"json": {"accepts": True}}),
        ("POST", f"/v1/corrections/{one}/withdraw", {}),
        ("GET", f"/console/corrections/new/{turn}", {}),
        ("POST", f"/console/corrections/new/{turn}", {"data": {"kind": "voice", "corrected": "x"}}),
        ("POST", f"/console/corrections/brands/{BRAND}/difference", {"data": {"document": "returns.md", "text": "x"}}),
        ("GET", f"/console/corrections/review/{BRAND}", {}),
        ("POST", f"/console/corrections/{one}/review", {"data": {"verdict": "accept"}}),
        ("POST", f"/console/corrections/{one}/change", {"data": {"corrected": "x"}}),
        ("GET", f"/console/corrections/{one}", {}),
        ("POST", f"/console/corrections/{one}/withdraw", {}),
    ]


EDITORS = ("/queue", "/export", "/review", "/withdraw", "/change")


@pytest.mark.usefixtures("knowledge")
def test_nobody_gets_in_without_the_role_in_this_brand(locked: Door) -> None:
    turn = turn_of(locked)
    headers = {"Authorization": f"Bearer {KEY}"}
    given = {"kind": "voice", "corrected": BETTER, "by": "Ben"}
    one = locked.client.post(f"/v1/corrections/turns/{turn}", headers=headers, json=given).json()["id"]
    nobody = browser(locked)
    other = seat(locked, {"dicehollow": Role.ADMIN}, "dora@example.com")
    agent = seat(locked, {BRAND: Role.AGENT}, "ben@example.com")
    for method, path, more in routes(one, turn):
        answer = nobody.client.request(method, path, follow_redirects=False, **more)
        assert answer.status_code == (303 if path.startswith("/console") else 401), path
        refused: list[tuple[str, Browser]] = [("of another brand", other)]
        if any(part in path for part in EDITORS) or method == "PATCH":
            refused.append(("an agent", agent))
        for who, asks in refused:
            answer = asks.get(path) if method == "GET" else asks.send(path, method, **more)
            assert answer.status_code == 403, f"{who}: {method} {path}: {answer.status_code}"
    assert in_database(locked, lambda c: None) is None
    assert other.get("/v1/corrections").json() == {"corrections": []}, "of all brands, only those of one's own"
    unsafe = agent.client.post(f"/v1/corrections/turns/{turn}", json=given, follow_redirects=False)
    assert unsafe.status_code == 403, "without the session's token nothing is changed"


@pytest.mark.usefixtures("knowledge")
def test_what_customers_and_people_write_is_text_and_nothing_else(door: Door) -> None:
    hostile = "<script>alert(1)</script> \"'><img src=x onerror=alert(1)>"
    turn = turn_of(door, f"How {hostile}", text=f"So {hostile}")
    editor = seat(door, {BRAND: Role.EDITOR}, "cleo@example.com")
    given = {"kind": "voice", "corrected": f"Better {hostile}", "why": hostile, "documents": "returns.md"}
    sent = editor.send(f"/console/corrections/new/{turn}", data=given)
    assert sent.status_code == 303, sent.text
    where = (f"/console/corrections/new/{turn}", "/console/corrections", sent.headers["location"])
    for path in (
        *where,
        f"/console/corrections/review/{BRAND}",
        f"/console/corrections/review/{BRAND}?edit=1",
    ):
        page = editor.get(path).text
        assert "alert(1)" in page
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path


@pytest.mark.usefixtures("knowledge")
def test_the_pages_speak_indonesian(door: Door) -> None:
    editor = seat(door, {BRAND: Role.EDITOR}, "cleo@example.com")
    assert editor.send("/v1/me", "PATCH", json={"language": "id"}).status_code == 204
    page = editor.get("/console/corrections").text
    assert words("id").gettext("Latest answers") in page
    assert "Latest answers" not in page
