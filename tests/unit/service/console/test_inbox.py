"""The inbox at a real gateway without an engine: who is let at what, under whose name, and what a page fetches."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from sqlalchemy import select

from service.conversation.files import path_of
from service.people import canned
from service.storage.database import now
from service.storage.tables import conversations, files, inbox, outbox, turns
from tests.patience import PATIENCE_S
from tests.unit.service.console.seats import Browser, Role, admin, browser, in_database, seat
from tests.unit.service.doors import KEY, Door
from tests.unit.service.test_conversations_api import write

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
BRANDS = ("velmora", "dicehollow")


def heard(door: Door, text: str = "Hello?", number: int = 1) -> tuple[str, str]:
    """A customer wrote on Slack; the conversation and its brand."""
    door.client.headers["Authorization"] = f"Bearer {KEY}"
    conversation = write(door, text, number)
    brand = door.client.get(f"/v1/conversations/{conversation}").json()["brand"]
    return conversation, brand


def other_than(brand: str) -> str:
    return next(name for name in BRANDS if name != brand)


@pytest.fixture
def agent(locked: Door) -> Browser:
    """An agent of the brand that customers of `heard` write to."""
    brand = heard(locked)[1]
    return seat(locked, {brand: Role.AGENT}, "budi@example.com")


def test_nobody_sees_a_conversation_of_a_brand_that_is_not_theirs(locked: Door) -> None:
    conversation, brand = heard(locked)
    mine = seat(locked, {brand: Role.AGENT}, "budi@example.com")
    other = seat(locked, {other_than(brand): Role.ADMIN}, "citra@example.com")
    pages = (f"/console/inbox/{conversation}", f"/console/inbox/{conversation}/thread", f"/console/inbox?brand={brand}")
    pages += (f"/console/inbox/rows?brand={brand}", f"/console/inbox/unanswered?brand={brand}")
    pages += (f"/console/inbox/canned?brand={brand}", f"/v1/conversations/{conversation}")
    pages += (f"/v1/conversations?brand={brand}", f"/v1/canned-replies?brand={brand}", f"/v1/brands/{brand}/unanswered")
    nobody = browser(locked)
    for path in pages:
        assert mine.get(path).status_code == 200, path
        assert other.get(path).status_code == 403, path
        assert nobody.get(path).status_code == (401 if path.startswith("/v1") else 303), path
    theirs = other_than(brand)
    for path in (f"/console/inbox/{conversation}", f"/v1/conversations/{conversation}"):
        assert other.get(f"{path}?brand={theirs}").status_code == 403, "a brand that is theirs opens nothing else"
        assert mine.get(f"{path}?brand={brand}").status_code == 200
    assert mine.get(f"/console/inbox/{conversation}?brand={theirs}").status_code == 403
    assert other.send(f"/v1/conversations/{conversation}/take?brand={theirs}", json={}).status_code == 403
    acts: dict[str, dict[str, Any]] = {
        "take": {}, "say": {"key": "k", "text": "x"}, "note": {"text": "x"}, "return": {}, "close": {}
    }  # fmt: skip
    for act, fields in acts.items():
        assert other.send(f"/console/inbox/{conversation}/{act}", data=fields).status_code == 403, act
    for act in ("take", "return", "close"):
        assert other.send(f"/v1/conversations/{conversation}/{act}", json={}).status_code == 403, act
    assert other.send(f"/v1/brands/{brand}/voice", json={"text": "x"}).status_code == 403
    assert other.send("/console/inbox/lint", data={"brand": brand, "text": "x"}).status_code == 403
    assert conversation not in other.get("/console/inbox?show=all").text
    assert conversation in mine.get("/console/inbox?show=all").text
    assert other.get("/v1/conversations").json() == {"conversations": [], "next": None}
    assert mine.get("/console/inbox/nothing").status_code == 404


def test_a_customers_file_is_a_link_for_agents_of_the_brand(locked: Door) -> None:
    conversation, brand = heard(locked)
    content = b"My order is 4711."
    row = {"id": "a-file", "conversation_id": conversation, "name": "<b>letter</b>.txt", "kind": "text"}
    row |= {"size": len(content), "digest": "d" * 64, "created_at": now()}
    message = select(inbox.c.id).where(inbox.c.conversation_id == conversation).scalar_subquery()
    in_database(locked, lambda c: c.execute(files.insert().values(inbox_id=message, **row)))
    path = path_of(locked.gateway.home, brand, "d" * 64)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    mine = seat(locked, {brand: Role.AGENT}, "budi@example.com")
    other = seat(locked, {other_than(brand): Role.ADMIN}, "citra@example.com")
    shown = mine.get(f"/console/inbox/{conversation}").text
    (link,) = re.findall(r'href="(/v1/conversations/[^"]+/files/[^"]+)"', shown)
    assert "&lt;b&gt;letter&lt;/b&gt;.txt" in shown
    assert mine.get(link).content == content
    assert mine.get(link).headers["content-disposition"].startswith("attachment")
    assert other.get(link).status_code == 403
    assert browser(locked).get(link).status_code == 401


def test_what_needs_an_editor_is_refused_to_an_agent(locked: Door, agent: Browser) -> None:
    brand = next(iter(agent.get("/v1/me").json()["roles"]))
    page = {"brand": brand, "title": "t", "text": "x", "turn": ["t"]}
    for path, fields in (
        ("/console/inbox/canned", page), ("/console/inbox/unanswered/answer", page),
        ("/console/inbox/unanswered/set-aside", page),
    ):  # fmt: skip
        assert agent.send(path, data=fields).status_code == 403, path
    made = {"brand": brand, "title": "t", "text": "x"}
    assert agent.send("/v1/canned-replies", json=made).status_code == 403
    answer = {"title": "t", "text": "x", "turns": ["t"]}
    assert agent.send(f"/v1/brands/{brand}/unanswered/answer", json=answer).status_code == 403
    assert agent.send(f"/v1/brands/{brand}/unanswered/set-aside", json={"turns": ["t"]}).status_code == 403
    assert "A new reply" not in agent.get("/console/inbox/canned").text
    editor = seat(locked, {brand: Role.EDITOR}, "dewi@example.com")
    reply = editor.send("/v1/canned-replies", json=made).json()
    stranger = seat(locked, {other_than(brand): Role.EDITOR}, "eka@example.com")
    assert stranger.send("/v1/canned-replies", json=made).status_code == 403
    for method, more in (("PUT", {"json": made}), ("DELETE", {})):
        assert stranger.send(f"/v1/canned-replies/{reply['id']}", method, **more).status_code == 403
        assert agent.send(f"/v1/canned-replies/{reply['id']}", method, **more).status_code == 403
    assert editor.send("/v1/canned-replies/nothing", "PUT", json=made).status_code == 404


def test_whoever_is_signed_in_acts_under_their_own_name(locked: Door, agent: Browser) -> None:
    conversation, _ = heard(locked, "Again", 2)
    taken = agent.send(f"/v1/conversations/{conversation}/take", json={"by": "The Boss"}).json()
    assert taken["owner"] == "Budi"
    agent.send(f"/console/inbox/{conversation}/say", data={"key": "1", "text": "Hello.", "by": "The Boss"})
    agent.send(f"/v1/conversations/{conversation}/notes", json={"by": "The Boss", "text": "Private."})
    shown = agent.get(f"/v1/conversations/{conversation}").json()
    assert [one["name"] for one in shown["messages"] if one["from"] == "person"] == ["Budi"]
    assert [one["by"] for one in shown["notes"]] == ["Budi"]
    assert "The Boss" not in str(shown)
    machine = locked.client.post(
        f"/v1/conversations/{conversation}/notes", json={"by": "Anna", "text": "By a program."}
    )
    assert machine.status_code == 204, "a program says whom it acts for"
    assert locked.client.post(f"/v1/conversations/{conversation}/take", json={}).status_code == 400


def test_two_people_of_one_name_are_told_apart_and_a_renamed_one_keeps_what_they_have(locked: Door) -> None:
    conversation, brand = heard(locked)
    first = seat(locked, {brand: Role.AGENT}, "budi@example.com")
    second = seat(locked, {brand: Role.AGENT}, "budi@example.org")
    mine, there = "/console/inbox?show=mine", f"/console/inbox/{conversation}"
    assert first.send(f"{there}/take").status_code == 303
    assert (conversation in first.get(mine).text, conversation in second.get(mine).text) == (True, False)
    assert "You have it" in first.get(there).text
    assert "You have it" not in second.get(there).text
    assert second.send(f"{there}/say", data={"key": "1", "text": "Hello."}).status_code == 409
    assert second.send(f"/v1/conversations/{conversation}/close", json={}).status_code == 409
    assert first.send("/v1/me", "PATCH", json={"name": "Budi Santoso"}).status_code == 204
    shown = second.get(f"/v1/conversations/{conversation}").json()
    assert (shown["owner"], shown["owner_id"]) == ("Budi Santoso", first.get("/v1/me").json()["id"])
    assert conversation in first.get(mine).text
    assert first.send(f"{there}/say", data={"key": "2", "text": "Hello."}).status_code == 303
    listed = first.get(f"/v1/conversations?owner_id={shown['owner_id']}").json()["conversations"]
    assert [one["id"] for one in listed] == [conversation]


def test_a_program_that_gives_the_name_of_a_person_is_not_that_person(locked: Door) -> None:
    conversation, brand = heard(locked)
    budi = seat(locked, {brand: Role.AGENT}, "budi@example.com")
    there = f"/v1/conversations/{conversation}"
    assert locked.client.post(f"{there}/take", json={"by": "Budi"}).json()["owner"] == "Budi"
    assert budi.send(f"{there}/close", json={}).status_code == 409
    said = {"by": "Budi", "text": "Hello.", "id": "1"}
    assert locked.client.post(f"{there}/messages", json=said).status_code == 200, "by name, as before"
    assert budi.send(f"{there}/take", json={"force": True}).status_code == 200
    assert locked.client.post(f"{there}/messages", json=said | {"id": "2"}).status_code == 409


def test_a_page_fetches_what_changed_and_nothing_else(locked: Door, agent: Browser) -> None:
    conversation, _ = heard(locked)
    rows = "/console/inbox/rows?show=all"
    still(agent, rows)
    page = agent.get("/console/inbox?show=all").text
    seen = re.findall(r'data-seen="(\w+)"', page)[0]
    assert agent.get(rows, headers={"X-Seen": seen}).status_code == 204
    heard(locked, "And another thing", 2)
    changed = agent.get(rows, headers={"X-Seen": seen})
    assert changed.status_code == 200
    assert "And another thing" in changed.text
    assert "<html" not in changed.text
    still(agent, rows)

    thread = f"/console/inbox/{conversation}/thread"
    seen, versions = still(agent, thread)
    said = agent.send(
        f"/console/inbox/{conversation}/say", data={"key": "1", "text": "Hello."}, headers={"HX-Request": "true"}
    )
    assert len(parts(said.text)) > len(versions)
    assert said.headers["X-Seen"] not in ("", seen)
    still(agent, thread)


def parts(text: str) -> dict[str, str]:
    """Parts of a conversation's page, with their versions."""
    return dict(re.findall(r'id="(\w-\d+)" data-v="(\w+)"', text))


def still(agent: Browser, thread: str) -> tuple[str, dict[str, str]]:
    """Fetch until nothing is new: the bot, for whom no engine is there, may be at its end only."""
    seen, found = "", dict[str, str]()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = agent.get(thread, headers={"X-Seen": seen})
        if answer.status_code == 204:
            return seen, found
        seen, found = answer.headers["X-Seen"], parts(answer.text)
        time.sleep(0.1)
    raise AssertionError(f"{thread} is new each time")


def test_a_message_with_the_key_of_one_before_is_not_sent_again(locked: Door, agent: Browser) -> None:
    conversation, _ = heard(locked)
    still(agent, f"/console/inbox/{conversation}/thread")
    before = locked.count(outbox)
    for _ in range(3):
        sent = agent.send(f"/console/inbox/{conversation}/say", data={"key": "one", "text": "Hello."})
        assert (sent.status_code, sent.headers["location"]) == (303, f"/console/inbox/{conversation}")
    assert locked.count(outbox) == before + 1
    for wrong in ({"key": "", "text": "x"}, {"key": "x" * 101, "text": "x"}, {"key": "k", "text": "  "}):
        assert agent.send(f"/console/inbox/{conversation}/say", data=wrong).status_code == 400
    assert locked.count(outbox) == before + 1


def test_canned_replies_are_filled_in_and_their_changes_kept(locked: Door) -> None:
    conversation, brand = heard(locked)
    boss = admin(locked)
    fields = {"brand": brand, "title": "Greeting", "text": "I am {name} of {brand}."}
    assert boss.send("/console/inbox/canned", data=fields).status_code == 303
    again = boss.send("/console/inbox/canned", data=fields)
    assert again.status_code == 400
    assert "has a canned reply" in again.text
    display = locked.gateway.config.brands[brand].display_name
    assert f'data-insert="I am Anna of {display}."' in boss.get(f"/console/inbox/{conversation}").text
    (reply,) = boss.get("/v1/canned-replies").json()["replies"]
    boss.send("/console/inbox/canned", data=fields | {"reply": reply["id"], "text": "Good day."})
    assert "Good day." in boss.get(f"/console/inbox/canned/{reply['id']}").text
    boss.send(f"/console/inbox/canned/{reply['id']}/delete")
    assert boss.get("/v1/canned-replies").json() == {"replies": []}
    kept = [one["action"] for one in boss.get("/v1/audit?action=canned_reply").json()["changes"]]
    assert kept == ["canned_reply.deleted", "canned_reply.changed", "canned_reply.made"]
    assert in_database(locked, canned.listed) == []


def test_refused_questions_are_set_aside_and_answered_over_http(locked: Door) -> None:
    conversation, brand = heard(locked)
    boss = admin(locked)

    def refuse(connection: Any) -> None:
        at = connection.execute(conversations.select()).first().created_at
        for number, text in enumerate(("do you wrap gifts", "wrap gifts", "who wins the cup"), start=1):
            # Far behind the turn that the lane may have begun.
            row = {"id": f"t{number}", "conversation_id": conversation, "number": 100 + number, "question": text}
            row |= {"state": "done", "text": "No.", "outcome": "refused", "citations": [], "created_at": at}
            connection.execute(turns.insert(), row)

    in_database(locked, refuse)
    groups = boss.get(f"/v1/brands/{brand}/unanswered").json()["groups"]
    assert [one["count"] for one in groups] == [2, 1]
    aside = boss.send(f"/v1/brands/{brand}/unanswered/set-aside", json={"turns": ["t3"]})
    assert aside.json() == {"settled": ["t3"]}
    given = {"title": "Gift wrapping", "text": "We wrap gifts.", "turns": groups[0]["turns"], "question": "wrap gifts?"}
    wrong = boss.send(f"/v1/brands/{other_than(brand)}/unanswered/answer", json=given)
    assert wrong.status_code == 404
    done = boss.send(f"/v1/brands/{brand}/unanswered/answer", json=given).json()
    assert (done["document"], set(done["settled"])) == ("answer-gift-wrapping.md", {"t1", "t2"})
    assert boss.get(f"/v1/brands/{brand}/unanswered").json() == {"groups": []}
    assert boss.get("/v1/brands/nobody/unanswered").status_code == 404
    kept = [(one["action"], one["subject"]) for one in boss.get("/v1/audit?action=question").json()["changes"]]
    assert kept == [("question.answered", "answer-gift-wrapping.md"), ("question.set_aside", "t3")]
