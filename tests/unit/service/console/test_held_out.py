"""Held-out questions in the console: counted against what the gate wants, written, taken from customers, taken out."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from configs.cases import added_file
from service.storage.database import now
from service.storage.people_tables import audit_log
from service.storage.tables import conversations, turns
from tests.unit.service.console.seats import Browser, Role, admin, in_database, seat
from tests.unit.service.doors import Door
from training.conversations import read_questions

PAGE = "/console/training/brands/velmora/questions"
API = "/v1/brands/velmora/questions"


def asked(door: Door, key: str, question: str, outcome: str, *, brand: str = "velmora", cited: str = "") -> None:
    """A conversation that began so."""

    def work(connection: Connection) -> None:
        row = {"id": f"c-{key}", "brand": brand, "channel": "web", "account": "a", "external_key": key}
        connection.execute(insert(conversations).values(row | {"created_at": now()}))
        citations = [{"document": cited}] if cited else []
        for number, text in enumerate((question, "And on Sundays?"), 1):
            values = {
                "id": f"t-{key}-{number}", "conversation_id": f"c-{key}", "number": number, "question": text,
                "state": "done", "text": "So it is [1].", "outcome": outcome, "citations": citations,
                "created_at": now() - timedelta(minutes=len(key)),
            }  # fmt: skip
            connection.execute(insert(turns).values(values))

    in_database(door, work)


def added(door: Door) -> list[dict[str, Any]]:
    path = added_file(door.gateway.home, "velmora")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def add(person: Browser, *questions: dict[str, Any]) -> Any:
    return person.send(API, json={"questions": list(questions)})


def documents(door: Door, *names: str) -> None:
    """Velmora's knowledge, by its documents' names alone."""
    door.gateway.knowledge["velmora"] = SimpleNamespace(  # type: ignore[assignment]
        documents=lambda: tuple(SimpleNamespace(id=name) for name in names)
    )


def test_what_is_there_stands_beside_what_the_gate_wants(door: Door) -> None:
    person = admin(door)
    shown = person.get(API).json()
    assert shown["wanted"] == door.gateway.config.brands["velmora"].gate.min_cases
    assert shown["gate"]
    kinds = [one["kind"] for one in shown["cases"]]
    own = read_questions(door.gateway.config.brands["velmora"].questions)  # type: ignore[arg-type]
    assert len(kinds) == len(own)
    assert kinds.count("person") == sum(one.handoff for one in own)
    assert kinds.count("page") == sum(one.document is not None for one in own)
    assert not any(one["removable"] for one in shown["cases"])
    assert f"{len(own)}; the gate wants {shown['wanted']}" in person.get(PAGE).text


def test_questions_are_written_one_a_line_and_those_that_are_there_are_passed_over(door: Door) -> None:
    person = admin(door)
    documents(door, "returns.md")
    form = {
        "questions": "can i bring it back?\n\nWho pays the way back \n",
        "answer": "returns.md",
        "holds": "30 days\n",
    }
    assert person.send(PAGE, data=form).status_code == 303
    again = form | {"questions": "Can I bring it back\nis there a cafe in the shop"} | {"answer": ":none"}
    assert person.send(PAGE, data=again).status_code == 303
    assert person.send(PAGE, data={"questions": "I want a human", "answer": ":person"}).status_code == 303
    rows = added(door)
    assert [(one["question"], one["document"], one.get("answer_contains"), one.get("handoff")) for one in rows] == [
        ("can i bring it back?", "returns.md", ["30 days"], None),
        ("Who pays the way back", "returns.md", ["30 days"], None),
        ("is there a cafe in the shop", None, None, None),
        ("I want a human", None, None, True),
    ]
    # The gate reads them.
    assert len(read_questions(added_file(door.gateway.home, "velmora"))) == 4
    shown = person.get(API).json()["cases"]
    assert [one["removable"] for one in shown[-4:]] == [True] * 4


@pytest.mark.parametrize(
    "form",
    [
        {"questions": "hm", "answer": ":none"},
        {"questions": "\n \n", "answer": ":none"},
        {"questions": "Where is it made?", "answer": ""},
        {"questions": "Where is it made?", "answer": "no-such-page.md"},
        {"questions": "x" * 501, "answer": ":person"},
        {"questions": "Where is it made?", "answer": ":none", "turn": "t-of-nobody"},
    ],
)
def test_what_cannot_be_meant_is_refused_and_what_was_written_stays(door: Door, form: dict[str, str]) -> None:
    person = admin(door)
    answer = person.send(PAGE, data=form)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    if form["questions"].strip() and "turn" not in form:
        assert form["questions"] in answer.text
    assert added(door) == []


def test_what_customers_asked_is_offered_with_what_it_probably_is(door: Door) -> None:
    person = admin(door)
    documents(door, "returns.md")
    asked(door, "a", "Is the cellar heated? I am Ada Quill, ada@quill.example", "refused")
    asked(door, "ab", "May I return a scarf?", "answered", cited="returns.md")
    asked(door, "abc", "Give me a person", "handed_off")
    asked(door, "abcd", "Give me a person!", "handed_off")
    asked(door, "abcde", "Of another brand?", "refused", brand="dicehollow")
    found = person.get(f"{API}/asked").json()["questions"]
    assert [(one["turn"], one["kind"], one["document"]) for one in found] == [
        ("t-a-1", "none", None),
        ("t-ab-1", "page", "returns.md"),
        ("t-abc-1", "person", None),
    ]
    assert "ada@quill.example" not in found[0]["question"]
    assert found[1]["said"] == "So it is."
    form = {"questions": found[1]["question"], "answer": "returns.md", "turn": "t-ab-1"}
    assert person.send(PAGE, data=form).status_code == 303
    assert [one["id"] for one in added(door)] == ["turn:t-ab-1"]
    assert [one["turn"] for one in person.get(f"{API}/asked").json()["questions"]] == ["t-a-1", "t-abc-1"]
    theirs = {"question": "Of another brand?", "kind": "none", "turn": "t-abcde-1"}
    assert add(person, theirs).status_code == 400


def test_one_is_taken_out_and_those_of_the_deployment_are_not(door: Door) -> None:
    person = admin(door)
    own = person.get(API).json()["cases"][0]["id"]
    assert add(person, {"question": "Is there a cafe?", "kind": "none"}).json() == {"added": 1}
    mine = added(door)[0]["id"]
    assert person.send(f"{API}/{own}", "DELETE").status_code == 409
    assert person.send(f"{PAGE}/remove", data={"case": own}).status_code == 409
    assert person.send(f"{API}/no-such", "DELETE").status_code == 404
    assert person.send(f"{PAGE}/remove", data={"case": mine}).status_code == 303
    # An empty file would be taken for a broken one.
    assert not added_file(door.gateway.home, "velmora").exists()
    log = in_database(door, lambda c: [row.action for row in c.execute(select(audit_log).order_by(audit_log.c.id))])
    assert [one for one in log if one.startswith("question.")] == ["question.added", "question.removed"]


def test_only_an_editor_of_the_brand_sees_and_changes_them(door: Door) -> None:
    for roles in ({"velmora": Role.AGENT}, {"dicehollow": Role.EDITOR}):
        person = seat(door, roles, f"{next(iter(roles))}@example.com")
        assert person.get(API).status_code == 403
        assert person.get(PAGE).status_code == 403
        assert add(person, {"question": "Is there a cafe?", "kind": "none"}).status_code == 403
    editor = seat(door, {"velmora": Role.EDITOR}, "editor@example.com")
    assert add(editor, {"question": "Is there a cafe?", "kind": "none"}).status_code == 200


def test_a_file_that_cannot_be_read_is_told(door: Door) -> None:
    person = admin(door)
    path = added_file(door.gateway.home, "velmora")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{broken\n")
    answer = person.get(API)
    assert answer.status_code == 409
    assert "velmora.jsonl" in answer.text
