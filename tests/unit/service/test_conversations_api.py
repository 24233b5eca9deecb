"""People at work over HTTP and in the widget, on a real gateway without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.cli.gateway import Gateway
from tests.unit.service.doors import KEY, Door

ROUTES = (
    ("get", ""),
    ("get", "/x"),
    ("post", "/x/take"),
    ("post", "/x/messages"),
    ("post", "/x/return"),
    ("post", "/x/close"),
    ("post", "/x/notes"),
)


def write(door: Door, text: str = "Hello?", number: int = 1) -> str:
    """A customer writes on Slack; returns the conversation."""
    platform = door.platform("slack")
    account = door.binding("slack").account
    body = platform.simulate(text, account=account, message_id=f"17000000{number:02}.000100", sender="U0ABC123")
    assert door.post("slack", body, platform.sign(body)).status_code == 200
    found: str = door.client.get("/v1/conversations").json()["conversations"][0]["id"]
    return found


@contextmanager
def widget(door: Door, **more: str) -> Iterator[Any]:
    """An open socket that has said hello."""
    # On the way out the test client cancels the session that it has just told to end: either may be first.
    with suppress(CancelledError), door.client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"type": "hello", "site_key": "pk_velmora0a7c41d93e5f", **more})
        yield socket


def act(door: Door, conversation: str, what: str, status: int = 200, **body: Any) -> Any:
    answer = door.client.post(f"/v1/conversations/{conversation}/{what}", json={"by": "Anna", **body})
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_nobody_gets_at_conversations(locked: Door, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert locked.client.request(method, f"/v1/conversations{path}", headers=headers).status_code == 401
    allowed = locked.client.request(method, f"/v1/conversations{path}", headers={"Authorization": f"Bearer {KEY}"})
    assert allowed.status_code in (200, 400, 404)


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # of the simulator, which takes every method
def test_the_routes_stand_in_the_api_description(door: Door) -> None:
    paths = door.client.get("/openapi.json").json()["paths"]
    for method, path in ROUTES:
        entry = paths["/v1/conversations" + path.replace("/x", "/{conversation}")][method]
        assert entry["description"]
        assert {"401", "404", "409"} <= entry["responses"].keys()


def test_a_person_takes_writes_gives_back_and_closes(door: Door) -> None:
    from service.storage.tables import outbox

    conversation = write(door)
    assert act(door, conversation, "take")["state"] == "person"
    refused = act(door, conversation, "messages", 409, by="Ben", text="Hi", id="1")
    assert refused["error"]["code"] == "taken_by_another"
    assert refused["error"]["message"].startswith("Anna has this conversation")
    said = act(door, conversation, "messages", text="Hello, I am Anna.", id="a-1")
    again = act(door, conversation, "messages", text="Hello, I am Anna.", id="a-1")
    assert (said["repeated"], again["repeated"], again["turn"]) == (False, True, said["turn"])
    assert door.count(outbox) == 1
    assert act(door, conversation, "notes", 204, text="A friend of the house.") is None
    write(door, "Thank you", 2)
    shown = door.client.get(f"/v1/conversations/{conversation}").json()
    assert [(one["from"], one["text"]) for one in shown["messages"]] == [
        ("customer", "Hello?"),
        ("person", "Hello, I am Anna."),
        ("customer", "Thank you"),
    ]
    assert shown["notes"][0]["text"] == "A friend of the house."
    assert act(door, conversation, "return")["state"] == "bot"
    assert act(door, conversation, "close", why="done")["state"] == "closed"
    moves = door.client.get(f"/v1/conversations/{conversation}").json()["changes"]
    assert [(one["from"], one["to"]) for one in moves] == [("bot", "person"), ("person", "bot"), ("bot", "closed")]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("take", {"by": ""}),
        ("take", {"by": "bot"}),
        ("messages", {"text": "", "id": "1"}),
        ("messages", {"text": "x" * 100_000, "id": "1"}),
        ("messages", {"text": "Hi"}),
        ("messages", {"text": "Hi", "id": "x" * 101}),
        ("notes", {"text": ""}),
    ],
)
def test_what_makes_no_sense_is_refused(door: Door, what: str, body: dict[str, Any]) -> None:
    act(door, write(door), what, 400, **body)


def test_what_is_not_there_and_how_lists_are_filtered(door: Door) -> None:
    act(door, "nothing", "take", 404)
    assert door.client.get("/v1/conversations/nothing").status_code == 404
    conversation = write(door)
    brand = door.client.get(f"/v1/conversations/{conversation}").json()["brand"]
    act(door, conversation, "take")

    def ids(**query: str) -> list[str]:
        return [one["id"] for one in door.client.get("/v1/conversations", params=query).json()["conversations"]]

    assert ids(state="person") == ids(brand=brand, channel="slack") == [conversation]
    assert ids(state="waiting") == ids(channel="web") == []
    assert door.client.get("/v1/conversations", params={"state": "asleep"}).status_code == 400


def test_a_widget_sees_a_person_come_write_and_go(door: Door) -> None:
    with widget(door) as socket:
        welcome = socket.receive_json()
        assert welcome["with"] == {"state": "bot", "owner": None}
        conversation = welcome["conversation"]
        act(door, conversation, "messages", text="Hello, I am Anna.", id="a-1")
        said, state = socket.receive_json(), socket.receive_json()
        assert (said["type"], said["author"], said["text"]) == ("said", "Anna", "Hello, I am Anna.")
        assert state == {"type": "state", "state": "person", "owner": "Anna"}
        socket.send_json({"type": "message", "client_id": "client-01", "text": "Good day"})
        seen = [socket.receive_json(), socket.receive_json()]
        assert {one["type"] for one in seen} == {"accepted", "heard"}
        socket.send_json({"type": "to_assistant"})
        act(door, conversation, "return")
        assert socket.receive_json() == {"type": "state", "state": "bot", "owner": None}
    with widget(door, conversation=conversation, visitor=welcome["visitor"]) as socket:
        turns = socket.receive_json()["turns"]
    assert [(turn["author"], turn["question"], turn["text"], turn["state"]) for turn in turns] == [
        ("Anna", "", "Hello, I am Anna.", "done"),
        (None, "Good day", "", "heard"),
    ]


def test_a_person_is_heard_by_the_outside(home: Any, tmp_path: Path) -> None:
    """Only where a webhook is configured is anything planned for it."""
    from configs.service import Secret
    from service.storage.tables import hooks
    from tests.unit.service.doors import NOBODY_LISTENS, door_config, open_door
    from tests.unit.service.storage.test_handoffs import SECRET

    (tmp_path / "hook").write_text(SECRET, encoding="utf-8")
    config = door_config(home)
    told = config.service.handoff.model_copy(
        update={"webhook_url": NOBODY_LISTENS, "webhook_secret": Secret(file=tmp_path / "hook")}
    )
    for settings, planned in ((config.service, 0), (config.service.model_copy(update={"handoff": told}), 1)):
        with open_door(replace(config, service=settings), home) as opened:
            conversation = write(opened, number=planned + 1)
            act(opened, conversation, "take", force=True)
            assert bool(opened.count(hooks)) == bool(planned)
            act(opened, conversation, "return")


def test_the_command_line_takes_an_answer_without_a_body(door: Door) -> None:
    conversation = write(door)
    with Gateway("http://testserver") as gateway:
        gateway._client = door.client  # type: ignore[assignment]
        path = f"/v1/conversations/{conversation}"
        assert gateway.post(f"{path}/notes", {"by": "Anna", "text": "calls back at six"}) is None
        assert [one["text"] for one in gateway.get(path)["notes"]] == ["calls back at six"]
