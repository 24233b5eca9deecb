"""The gateway's doors on a real application, without an engine: keys, origins, webhooks, error forms."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from channels.registry import PLATFORMS
from retrieval.routing import route as routing
from service.conversation import inbox
from service.conversation import store as conversations
from service.delivery.outbox import OutboxItem
from service.security import check_exposure, origin_allowed
from service.storage.tables import feedback, sent_parts
from service.storage.tables import inbox as inbox_table
from service.storage.tables import outbox as outbox_table
from tests.patience import PATIENCE_S
from tests.unit.service.doors import KEY, SENDERS, TOKENS_ONLY, Door
from tests.unit.service.storage.support import reply, rows


@pytest.mark.parametrize("path", ["/v1/models", "/v1/handoffs", "/v1/brands", "/v1/turns/x"])
def test_without_a_key_nothing_of_the_api_answers(locked: Door, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}):
        answer = locked.client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"
    assert locked.client.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code in (200, 404)


def test_a_database_that_another_process_holds_is_told_in_time_and_what_comes_again_is_taken_once(
    door: Door, tmp_path: Path
) -> None:
    platform = door.platform("slack")
    bodies = [
        platform.simulate(
            "Hello?", account=door.binding("slack").account, message_id=f"wamid.{number:06d}", sender="U0ABC123"
        )
        for number in range(6)
    ]

    # SQLite itself would wait longer than this test.
    portal = door.client.portal
    assert portal is not None
    portal.call(door.gateway.db.write, lambda c: c.exec_driver_sql(f"PRAGMA busy_timeout = {10_000 * PATIENCE_S:.0f}"))

    def deliver(body: bytes) -> tuple[Any, float]:
        began = time.monotonic()
        return door.post("slack", body, platform.sign(body)), time.monotonic() - began

    with contextlib.closing(sqlite3.connect(tmp_path / "brandvoice.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor(len(bodies)) as people:
            refused = list(people.map(deliver, bodies))
        other.execute("ROLLBACK")
    for answer, took_s in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert took_s < PATIENCE_S
    assert {deliver(body)[0].status_code for body in bodies} == {200}
    assert door.count(inbox_table) == len(bodies)


def test_a_wrong_method_is_told_which_are_right(door: Door) -> None:
    answer = door.client.delete("/v1/models")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_every_route_is_described_with_the_form_of_its_errors(door: Door) -> None:
    described = door.client.get("/openapi.json").json()
    routes = {
        (path, method): route for path, methods in described["paths"].items() for method, route in methods.items()
    }
    assert len(routes) > 20
    assert [where for where, route in routes.items() if not {"4XX", "5XX"} <= set(route["responses"])] == []


def test_health_widget_and_webhooks_need_no_key(locked: Door) -> None:
    assert locked.client.get("/livez").status_code == 200
    assert locked.client.get("/widget.js").status_code == 200
    assert locked.post("slack", b"{}", {}).status_code == 401
    assert "unauthorized" in locked.post("slack", b"{}", {}).text


def test_a_gateway_that_is_open_has_made_what_the_first_message_needs(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(routing, "_encode", lambda *_: made.append(_))
    routing.route("In which colours is the scarf sold?", door.gateway.encoder)
    assert not made


def test_an_engine_that_is_away_makes_the_gateway_not_ready_and_says_so(door: Door) -> None:
    answer = door.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["engine"] != "ready"
    assert answer.json()["checks"]["database"] == "ok"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_listening_beyond_this_machine_without_keys_is_refused(host: str) -> None:
    from configs.errors import ConfigError

    with pytest.raises(ConfigError, match="api_keys"):
        check_exposure(host, ())
    check_exposure(host, (KEY,))
    check_exposure("127.0.0.1", ())


def test_only_listed_origins_and_our_own_may_open_a_chat(door: Door) -> None:
    brand = next(iter(door.gateway.config.brands.values()))
    listed = brand.model_copy(update={"widget": brand.widget.model_copy(update={"origins": ("https://shop.example",)})})
    assert origin_allowed(listed, "https://shop.example", "chat.example")
    assert origin_allowed(listed, "https://chat.example", "chat.example")
    assert origin_allowed(listed, None, "chat.example")
    for foreign in ("https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"):
        assert not origin_allowed(listed, foreign, "chat.example")


@pytest.mark.parametrize("channel", sorted(PLATFORMS))
def test_a_signed_message_is_stored_once_before_its_200(door: Door, channel: str) -> None:
    from service.storage.tables import inbox

    platform = door.platform(channel)
    somebody = PLATFORMS[channel].stand_in.somebody()
    body = platform.simulate(
        "Hello?", account=door.binding(channel).account, message_id="wamid.ABCDEF", sender=somebody
    )
    for _ in range(3):
        assert door.post(channel, body, platform.sign(body)).status_code == 200
    assert door.count(inbox) == 1


def test_a_command_reads_its_answer_once_it_is_stored(door: Door) -> None:
    from service.storage.tables import inbox

    platform = door.platform("discord")
    body = platform.simulate("Hello?", account=door.binding("discord").account, message_id="1", sender="1")
    answer = door.post("discord", body, platform.sign(body))
    assert (answer.json(), answer.headers["content-type"]) == ({"type": 5}, "application/json")
    assert door.count(inbox) == 1


@pytest.mark.parametrize("channel", sorted(SENDERS))
def test_a_message_with_a_wrong_signature_leaves_nothing_behind(door: Door, channel: str) -> None:
    from service.storage.tables import inbox, unbound_events

    platform = door.platform(channel)
    body = platform.simulate(
        "Hello?", account=door.binding(channel).account, message_id="wamid.ABCDEF", sender=SENDERS[channel]
    )
    signed = dict(platform.sign(body))
    if channel not in TOKENS_ONLY:
        assert door.post(channel, body + b" ", signed).status_code == 401
    flipped = {name: value[:-1] + ("1" if value.endswith("0") else "0") for name, value in signed.items()}
    assert door.post(channel, body, flipped).status_code == 401
    assert door.post(channel, body, {}).status_code == 401
    assert (door.count(inbox), door.count(unbound_events)) == (0, 0)


@pytest.mark.parametrize("channel", sorted(SENDERS))
def test_a_signed_event_of_nobody_gets_its_200_is_counted_and_kept_aside(door: Door, channel: str) -> None:
    from service.storage.tables import inbox, unbound_events

    platform = door.platform(channel)
    body = door.event(channel, account="NOBODY99")
    assert door.post(channel, body, platform.sign(body)).status_code == 200
    assert (door.count(inbox), door.count(unbound_events)) == (0, 1)
    assert f'brandvoice_unbound_events_total{{channel="{channel}"}} 1.0' in door.client.get("/metrics").text


def test_twilio_is_told_nothing_that_it_would_send_to_the_person(door: Door) -> None:
    from service.storage.tables import inbox, unbound_events

    platform, body = door.platform("twilio"), door.event("twilio")
    taken = door.post("twilio", body, platform.sign(body))
    assert taken.headers["content-type"].startswith("text/xml")
    assert taken.text.endswith("<Response/>")
    unreadable = b"Body=Hi"
    kept = door.post("twilio", unreadable, platform.sign(unreadable))
    assert (kept.status_code, kept.text) == (200, "")
    assert (door.count(inbox), door.count(unbound_events)) == (1, 1)


def test_an_unknown_app_and_an_unknown_channel_are_not_found(door: Door) -> None:
    assert door.client.post("/webhooks/slack/none", content=b"{}").status_code == 404
    assert door.client.post("/webhooks/pigeon/main", content=b"{}").status_code == 404


def test_a_body_beyond_the_limit_is_refused_before_it_is_read_whole(door: Door) -> None:
    answer = door.post("slack", b"x" * (5 * 1024 * 1024), {})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "too_large"


def test_a_database_that_takes_nothing_makes_the_platform_come_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.errors import StorageUnavailable

    platform = door.platform("slack")
    body = door.event("slack")

    async def full(*_: object, **__: object) -> None:
        raise StorageUnavailable("The disk is full.")

    monkeypatch.setattr(type(door.gateway.db), "write", full)
    answer = door.post("slack", body, platform.sign(body))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_where_more_wait_than_can_be_answered_in_time_the_platform_keeps_what_it_has(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.storage.tables import inbox

    lanes, platform = door.gateway.lanes, door.platform("slack")
    full = lanes._settings.model_copy(update={"max_unanswered": 1})
    monkeypatch.setattr(lanes, "_settings", full)
    bodies = [
        platform.simulate(
            "Hello?", account=door.binding("slack").account, message_id=f"wamid.{n}", sender=f"U0ABC12{n}"
        )
        for n in range(2)
    ]
    assert door.post("slack", bodies[0], platform.sign(bodies[0])).status_code == 200
    refused = door.post("slack", bodies[1], platform.sign(bodies[1]))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    assert door.count(inbox) == 1
    monkeypatch.setattr(lanes, "_settings", full.model_copy(update={"max_unanswered": 2}))
    assert door.post("slack", bodies[1], platform.sign(bodies[1])).status_code == 200
    assert door.count(inbox) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{broken", 400),
        (b"[]", 400),
        (b'{"model": "velmora", "messages": []}', 400),
        (b'{"model": "velmora", "messages": [{"role": "user", "content": ""}]}', 400),
        (b'{"model": "velmora", "messages": [{"role": "assistant", "content": "x"}]}', 400),
        (b'{"model": "velmora", "n": 2, "messages": [{"role": "user", "content": "x"}]}', 400),
        (b'{"model": "nobody", "messages": [{"role": "user", "content": "x"}]}', 404),
        (b'{"model": "velmora", "messages": [{"role": "user", "content": "' + b"x" * 100_000 + b'"}]}', 400),
        (b"\xff\xfe\x00", 400),
    ],
    ids=["broken", "no object", "no messages", "empty", "last is not the user's", "n", "brand", "100 kB", "binary"],
)
def test_a_bad_request_gets_openais_error_form(door: Door, body: bytes, status: int) -> None:
    answer = door.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


def _signed(door: Door, channel: str, body: bytes) -> int:
    return int(door.post(channel, body, door.platform(channel).sign(body)).status_code)


def _whatsapp_value(door: Door, **held: Any) -> bytes:
    """A genuine body with other content."""
    body = json.loads(door.event("whatsapp"))
    value = body["entry"][0]["changes"][0]["value"]
    del value["messages"]
    value |= held
    return json.dumps(body).encode()


def test_what_whatsapp_tells_of_a_reply_and_what_people_change_takes_effect(door: Door) -> None:
    portal, db, binding = door.client.portal, door.gateway.db, door.binding("whatsapp")
    assert portal is not None
    channel = door.platform("whatsapp")
    message = channel.parse(door.event("whatsapp")).messages[0]

    async def answer() -> str:
        accepted = await inbox.accept(db, "velmora", message)
        turn = await inbox.next_turn(db, accepted.conversation_id)
        assert turn is not None
        item = OutboxItem("whatsapp", binding.app, binding.account, message.reply_to, "Yes.", ())
        await conversations.finish(db, turn.id, reply("Yes."), outbox=item, handoff=None)
        return turn.id

    turn = portal.call(answer)
    until_sent = time.monotonic() + PATIENCE_S
    while not door.count(sent_parts) and time.monotonic() < until_sent:
        # The simulator listens at another address, so the reply waits: the test plays the platform.
        (row,) = portal.call(rows, db, outbox_table)
        told = _whatsapp_value(door, statuses=[{"id": "wamid.R", "status": "sent", "biz_opaque_callback_data": row.id}])
        assert _signed(door, "whatsapp", told) == 200
    reaction = {"id": "wamid.9", "type": "reaction", "from": "15550101234"}
    thumb = reaction | {"reaction": {"message_id": "wamid.R", "emoji": "\N{THUMBS UP SIGN}"}}
    assert _signed(door, "whatsapp", _whatsapp_value(door, messages=[thumb])) == 200
    assert [(row.turn_id, row.value) for row in portal.call(rows, db, feedback)] == [(turn, "up")]
    assert (
        _signed(door, "whatsapp", _whatsapp_value(door, messages=[reaction | {"reaction": {"message_id": "wamid.R"}}]))
        == 200
    )
    assert portal.call(rows, db, feedback) == []
    late = {
        "id": "wamid.10",
        "type": "revoke",
        "from": "15550101234",
        "revoke": {"original_message_id": message.message_id},
    }
    assert _signed(door, "whatsapp", _whatsapp_value(door, messages=[late])) == 200
    counted = door.client.get("/metrics").text
    assert 'brandvoice_told_total{channel="whatsapp",what="edit_too_late"} 1.0' in counted
    assert 'brandvoice_told_total{channel="whatsapp",what="reaction"} 2.0' in counted
