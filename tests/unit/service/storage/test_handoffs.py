from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

import aiohttp
import pytest

from configs.errors import ConfigError
from service.delivery.schedule import JITTER, SCHEDULE_S
from service.errors import ConversationUnknown
from service.people import handoffs
from service.storage.database import Database
from service.storage.tables import handoffs as handoffs_table
from tests.unit.service.storage.support import BRAND, Clock, answered, rows

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://desk.test/hook"


class Desk:
    """Takes the webhooks."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, Mapping[str, str], bytes]] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.calls.append((url, headers, body))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_signature_is_the_one_of_the_published_example() -> None:
    # Source: Svix and Standard Webhooks documentation, "Verifying webhooks manually".
    body = b'{"test": 2432232314}'
    assert handoffs.sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


async def test_a_handover_is_told_once_and_its_signature_holds(db: Database) -> None:
    turn = await answered(db, handoff="asked for a person")
    desk, clock = Desk(), Clock()
    assert await handoffs.notify_due(db, URL, SECRET, desk.post, clock=clock) == 1
    assert await handoffs.notify_due(db, URL, SECRET, desk.post, clock=clock) == 0
    ((url, headers, body),) = desk.calls
    (row,) = await rows(db, handoffs_table)
    assert url == URL
    assert headers["webhook-id"] == row.id
    assert headers["webhook-timestamp"] == str(int(clock().timestamp()))
    signed = f"{row.id}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "handoff.opened"
    assert told["data"]["turn"] == turn
    assert told["data"]["brand"] == BRAND
    assert row.notified_at is not None


@pytest.mark.parametrize(
    "answer", [500, 429, 302, ConnectionResetError(104, "reset"), TimeoutError(), aiohttp.ServerDisconnectedError()]
)
async def test_a_call_that_was_not_taken_comes_again_under_the_same_id(db: Database, answer: int | Exception) -> None:
    await handoffs.open_handoff(db, brand=BRAND, reason="over the API")
    desk, clock = Desk(answer), Clock()
    assert await handoffs.notify_due(db, URL, SECRET, desk.post, clock=clock) == 0
    clock.advance(SCHEDULE_S[0] - 0.1)
    assert await handoffs.notify_due(db, URL, SECRET, desk.post, clock=clock) == 0
    assert len(desk.calls) == 1
    clock.advance(SCHEDULE_S[0] * JITTER + 0.2)
    assert await handoffs.notify_due(db, URL, SECRET, desk.post, clock=clock) == 1
    first, second = desk.calls
    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    assert first[1]["webhook-timestamp"] != second[1]["webhook-timestamp"]
    assert first[2] == second[2]


@pytest.mark.parametrize(("answer", "calls"), [(410, 1), (500, len(SCHEDULE_S) + 1)])
async def test_calling_ends_when_it_is_unwanted_or_hopeless(db: Database, answer: int, calls: int) -> None:
    await handoffs.open_handoff(db, brand=BRAND, reason="over the API")
    desk, clock = Desk(*[answer] * 50), Clock()
    for _ in range(20):
        await handoffs.notify_due(db, URL, SECRET, desk.post, clock=clock)
        clock.advance(100_000)
    assert len(desk.calls) == calls
    assert [handoff.state for handoff in await handoffs.list_handoffs(db)] == ["open"]


async def test_one_desk_call_that_fails_does_not_stop_the_next(db: Database) -> None:
    for reason in ("one", "two"):
        await handoffs.open_handoff(db, brand=BRAND, reason=reason)
    assert await handoffs.notify_due(db, URL, SECRET, Desk(500).post) == 1


async def test_a_closed_handover_is_neither_listed_as_open_nor_told(db: Database) -> None:
    closed = await handoffs.open_handoff(db, brand=BRAND, reason="over the API")
    await handoffs.open_handoff(db, brand="summit", reason="over the API")
    assert await handoffs.close_handoff(db, closed)
    assert not await handoffs.close_handoff(db, closed)
    desk = Desk()
    assert await handoffs.notify_due(db, URL, SECRET, desk.post) == 1
    assert await handoffs.count_open(db) == 1
    assert [one.brand for one in await handoffs.list_handoffs(db, state="open")] == ["summit"]
    assert [one.id for one in await handoffs.list_handoffs(db, state="closed")] == [closed]
    assert [one.id for one in await handoffs.list_handoffs(db, brands=(BRAND,))] == [closed]


async def test_the_list_says_what_was_asked_and_where(db: Database) -> None:
    turn = await answered(db, handoff="asked for a person")
    api = await handoffs.open_handoff(db, brand=BRAND, reason="over the API")
    shown = {one["id"]: one for one in map(handoffs.to_json, await handoffs.list_handoffs(db))}
    assert shown[api]["channel"] == "api"
    (asked,) = [one for one in shown.values() if one["turn"] == turn]
    assert (asked["channel"], asked["question"], asked["state"]) == ("slack", "Hello?", "open")
    assert asked["notified_at"] is None


async def test_closing_what_is_not_there_is_told(db: Database) -> None:
    with pytest.raises(ConversationUnknown, match="handoffs list"):
        await handoffs.close_handoff(db, "nothing")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "plain words", "whsec_c2hvcnQ="])
async def test_a_secret_that_protects_nothing_is_refused_before_anything_is_sent(db: Database, secret: str) -> None:
    await handoffs.open_handoff(db, brand=BRAND, reason="over the API")
    desk = Desk()
    with pytest.raises(ConfigError, match="webhook_secret"):
        await handoffs.notify_due(db, URL, secret, desk.post)
    assert desk.calls == []
