"""What becomes of messages while no engine answers, and of those that waited too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from channels.base import InboundMessage
from channels.registry import build_channel
from configs.service import Service
from service.conversation import inbox
from service.errors import EngineAway, ModelUnavailable
from service.storage.database import Database, now
from service.storage.tables import handoffs, outbox, turns
from service.storage.tables import inbox as inbox_table
from service.testing import ScriptedGenerator
from service.turns import lanes, notices
from service.turns.notices import Notices
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import rows
from tests.unit.service.test_lanes import SAYS, Bench

AWAY = EngineAway("nothing listens")
QUESTION = "How long may I send it back"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "RETRY_S", 0.01)
    monkeypatch.setattr(notices, "AFTER_S", 0.05)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    yield opened
    await opened.close()


def bench(db: Database, script: list[str | Exception], **service: Any) -> Bench:
    names = ("app_secret", "verify_token", "access_token")
    whatsapp = build_channel("whatsapp", app="main", secrets=dict.fromkeys(names, "s"), api_url="http://127.0.0.1:9")
    made = Bench(db, ScriptedGenerator(script), {("whatsapp", "main"): whatsapp})
    made.lanes._settings = Service(**service)
    return made


async def write(at: Bench, number: int, text: str, *, channel: str = "web", key: str = "thread-1") -> str:
    account = next((one.account for one in at.brand.channels if one.channel == channel), "web")
    said = InboundMessage(channel, account, f"m{number}", key, "1555", text, {"to": "1555", "message_id": "wamid.1"})
    accepted = await inbox.accept(at.db, "velmora", said)
    at.lanes.submit(accepted.conversation_id)
    return accepted.conversation_id


async def idle(at: Bench) -> None:
    await until(lambda: not at.lanes._lanes)


async def test_an_engine_that_is_away_is_waited_for_however_often_it_is_not_there(db: Database) -> None:
    at = bench(db, [*[AWAY] * (2 * lanes.TRIES), SAYS])
    conversation = await write(at, 1, QUESTION)
    with at.hub.subscribe(conversation) as subscription:
        await idle(at)
        states = [frame["state"] for frame in await subscription.next() if frame and frame["type"] == "status"]
    assert await at.questions() == [QUESTION]
    assert "delayed" in states
    assert states[-1] == "writing"


async def test_an_engine_that_fails_with_this_message_is_tried_three_times(db: Database) -> None:
    at = bench(db, [ModelUnavailable("The engine answered 500")])
    await write(at, 1, QUESTION)
    await idle(at)
    (turn,) = await rows(db, turns)
    assert (turn.state, turn.error_code, turn.text) == ("failed", "engine_unavailable", at.brand.words.unavailable)
    assert len(at.generator.prompts) == lanes.TRIES


async def test_who_waits_for_an_engine_takes_no_place_from_others(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = bench(db, [AWAY, SAYS])
    at.lanes._slots = asyncio.Semaphore(1)
    back = asyncio.Event()
    monkeypatch.setattr(at.lanes, "_engine_ready", back.wait)
    await write(at, 1, QUESTION)
    await until(lambda: any(live.delayed for live in at.hub.live.values()))
    await write(at, 2, "Until when can I return an item?", key="thread-2")
    await until(lambda: len(at.lanes._lanes) == 1)
    assert await at.questions() == ["Until when can I return an item?"]
    back.set()
    await idle(at)
    assert {turn.state for turn in await rows(db, turns)} == {"done"}


async def test_who_asks_for_a_person_gets_the_brands_own_words_without_any_engine(db: Database) -> None:
    at = bench(db, [AWAY])
    await write(at, 1, "I want to speak to a human")
    await idle(at)
    (turn,) = await rows(db, turns)
    assert turn.outcome == "handed_off"
    assert turn.text in at.brand.words.handovers
    assert len(await rows(db, handoffs)) == 1


async def test_more_words_while_it_waits_are_put_to_the_turn_and_cost_no_new_beginning(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = bench(db, [*[AWAY] * 6, SAYS])
    back = asyncio.Event()
    monkeypatch.setattr(at.lanes, "_engine_ready", back.wait)
    for number in range(1, 7):
        await write(at, number, f"line {number}")
        await until(lambda number=number: len(at.generator.prompts) == number)  # type: ignore[misc]
        await until(lambda: any(live.delayed for live in at.hub.live.values()))
    back.set()
    await idle(at)
    assert await at.questions() == ["\n".join(f"line {number}" for number in range(1, 7))]


async def test_after_its_time_a_message_is_not_answered_and_its_writer_is_told_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = bench(db, [AWAY], max_wait_s=0.3)
    monkeypatch.setattr(at.lanes, "_engine_ready", asyncio.Event().wait)
    await write(at, 1, QUESTION, channel="whatsapp")
    await idle(at)
    (turn,) = await rows(db, turns)
    assert (turn.state, turn.error_code, turn.text) == ("failed", "too_late", at.brand.words.late)
    (planned,) = await rows(db, outbox)
    assert planned.text == at.brand.words.late
    assert await rows(db, handoffs) == []


async def test_messages_of_before_a_long_stop_get_one_notice_and_what_comes_next_is_answered(db: Database) -> None:
    at = bench(db, [SAYS])
    for number in (1, 2, 3):
        await inbox.accept(
            db, "velmora", InboundMessage("web", "web", f"m{number}", "thread-1", "U1", f"line {number}", {})
        )
    hour_ago = update(inbox_table).values(received_at=now() - timedelta(hours=1))
    await db.write(lambda connection: connection.execute(hour_ago))
    assert await at.lanes.resume() == 1
    await idle(at)
    (late,) = await rows(db, turns)
    assert (late.error_code, late.text) == ("too_late", at.brand.words.late)
    assert at.generator.prompts == []
    await write(at, 4, QUESTION)
    await idle(at)
    assert await at.questions() == [QUESTION]


async def test_whoever_writes_again_is_still_there_and_gets_an_answer_to_all_of_it(db: Database) -> None:
    at = bench(db, [SAYS])
    await inbox.accept(db, "velmora", InboundMessage("web", "web", "m1", "thread-1", "1555", "Hello", {}))
    hour_ago = update(inbox_table).values(received_at=now() - timedelta(hours=1))
    await db.write(lambda connection: connection.execute(hour_ago))
    await write(at, 2, QUESTION)
    await idle(at)
    assert await at.questions() == [f"Hello\n{QUESTION}"]


async def test_where_the_brand_says_so_a_message_that_waited_too_long_goes_to_a_person(db: Database) -> None:
    at = bench(db, [SAYS])
    rules = at.brand.handover.model_copy(update={"unanswered": "hand_over"})
    at.lanes._brands = {"velmora": at.brand.model_copy(update={"handover": rules})}
    await inbox.accept(db, "velmora", InboundMessage("web", "web", "m1", "thread-1", "U1", QUESTION, {}))
    hour_ago = update(inbox_table).values(received_at=now() - timedelta(hours=1))
    await db.write(lambda connection: connection.execute(hour_ago))
    await at.lanes.resume()
    await idle(at)
    (turn,) = await rows(db, turns)
    assert (turn.state, turn.outcome) == ("done", "handed_off")
    assert turn.text in at.brand.words.handovers
    (handoff,) = await rows(db, handoffs)
    assert handoff.reason.startswith("not answered in time")


async def test_on_a_platform_one_notice_goes_out_before_the_answer_also_through_a_crash(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = bench(db, [AWAY, AWAY, SAYS])
    monkeypatch.setattr(at.lanes, "_notices", Notices(db, at.lanes._typing._channels, at._send))
    back = asyncio.Event()
    monkeypatch.setattr(at.lanes, "_engine_ready", back.wait)
    await write(at, 1, QUESTION, channel="whatsapp")
    texts: list[Any] = []
    await until(lambda: texts.extend(call.fields.get("text") for call in at.sent) or any(texts))  # type: ignore[func-returns-value]
    await at.lanes.drain(0)
    again = bench(db, [AWAY, SAYS])
    monkeypatch.setattr(again.lanes, "_engine_ready", back.wait)
    await again.lanes.resume()
    await asyncio.sleep(0.3)
    back.set()
    await idle(again)
    said = [call.fields["text"]["body"] for one in (at, again) for call in one.sent if "text" in call.fields]  # type: ignore[index]
    assert said == [at.brand.words.delayed]
    (turn,) = await rows(db, turns)
    assert (turn.state, turn.error_code) == ("done", None)
    assert [one.text for one in await rows(db, outbox)] == [turn.text]


async def test_a_short_absence_is_not_worth_a_message_on_a_phone(db: Database) -> None:
    at = bench(db, [AWAY, SAYS])
    await write(at, 1, QUESTION, channel="whatsapp")
    await idle(at)
    assert [call for call in at.sent if "text" in call.fields] == []
    assert [one.state for one in await rows(db, turns)] == ["done"]
