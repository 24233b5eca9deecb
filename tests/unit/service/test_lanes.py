"""What a lane makes of messages that come in a burst, or while it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from channels.base import InboundMessage, Request
from channels.registry import build_channel
from configs.load import load_config
from configs.service import Service
from retrieval.passages import Passage
from retrieval.testing import HashEncoder
from service.conversation import inbox
from service.delivery.outbox import Channels
from service.delivery.typing import Typing
from service.errors import ModelUnavailable
from service.ports import Sampling
from service.storage.database import Database
from service.storage.tables import turns
from service.telemetry import Metrics
from service.testing import FixedRetriever, FixedVoices, ScriptedGenerator
from service.turns import bursts
from service.turns.bursts import ENDED_S, LONGEST_S, OPEN_S, Bursts, patience_s
from service.turns.hub import Hub
from service.turns.lanes import MOST_TIMES_ANEW, Lanes
from service.turns.notices import Notices
from service.turns.pipeline import ChatPipeline
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import rows

RETURNS = Passage("returns.md", "Returns", "Returns", "An item can be returned within 30 days of delivery.", 0.9)
SAYS = "An item can be returned within 30 days of delivery [1]."


def message(number: int, text: str, *, channel: str = "slack", ended: bool = True) -> InboundMessage:
    account = "T_VELMORA" if channel == "slack" else "web"
    return InboundMessage(
        channel, account, f"m{number}", "thread-1", "U1", text + ("?" if ended else ""), {"channel": "D1"}
    )


class Bench:
    """Lanes on a real database, with a generator that is told what to say."""

    def __init__(self, db: Database, generator: ScriptedGenerator, channels: Channels | None = None) -> None:
        self.sent: list[Request] = []
        self.db, self.generator, self.hub = db, generator, Hub()
        self.brand = load_config(Path("configs"), {}).brands["velmora"]
        account = next(one.account for one in self.brand.channels if one.channel == "slack")
        self.account = account
        pipeline = ChatPipeline(
            retrievers={"velmora": FixedRetriever((RETURNS,))},
            encoder=HashEncoder(),
            generator=generator,
            voices=FixedVoices(),
            executor=ThreadPoolExecutor(1),
            sampling=Sampling(),
            guides={},
        )
        self.lanes = Lanes(
            db=db,
            pipeline=pipeline,
            hub=self.hub,
            brands={"velmora": self.brand},
            settings=Service(),
            metrics=Metrics(),
            engine_ready=self._ready,
            typing=Typing(channels or {}, self._send),
            notices=Notices(db, channels or {}, self._send),
        )

    async def _ready(self) -> None:
        return

    async def _send(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.sent.append(request)
        return 500, {}, b""

    async def hear(self, number: int, text: str, **more: Any) -> str:
        """A platform delivers a message."""
        said = message(number, text, **more)
        if said.channel == "slack":
            said = InboundMessage("slack", self.account, *_rest(said))
        accepted = await inbox.accept(self.db, "velmora", said)
        self.lanes.submit(accepted.conversation_id, wait_s=patience_s(said), news=not accepted.duplicate)
        return accepted.conversation_id

    async def questions(self) -> list[str]:
        """Of the turns that are over, in order."""
        found = sorted(await rows(self.db, turns), key=lambda row: row.number)
        return [row.question for row in found if row.state == "done"]


def _rest(said: InboundMessage) -> tuple[Any, ...]:
    return said.message_id, said.conversation_key, said.sender, said.text, said.reply_to


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    made = Bench(db, ScriptedGenerator([SAYS], delay_s=0.02))
    yield made
    await made.lanes.drain(0.1)
    await db.close()


async def test_what_comes_while_more_may_follow_is_one_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "OPEN_S", PATIENCE_S)
    monkeypatch.setattr(bursts, "LONGEST_S", PATIENCE_S)
    await bench.hear(1, "Hi", ended=False)
    await bench.hear(2, "how long may I wait", ended=False)
    await bench.hear(3, "until I send it back")
    await until(lambda: not bench.lanes._lanes)
    assert await bench.questions() == ["Hi\nhow long may I wait\nuntil I send it back?"]
    assert len(bench.generator.prompts) == 1, "it waited, instead of beginning anew"


async def test_a_message_before_the_first_word_begins_the_turn_anew(bench: Bench) -> None:
    bench.generator.goes_on.clear()
    await bench.hear(1, "How long may I send it back", channel="web")
    await until(lambda: len(bench.generator.prompts) == 1)
    await bench.hear(2, "unopened", channel="web")
    bench.generator.goes_on.set()
    await until(lambda: not bench.lanes._lanes)
    assert await bench.questions() == ["How long may I send it back?\nunopened?"]
    assert (len(bench.generator.prompts), bench.generator.closed) == (2, 1)


async def test_a_message_after_the_first_word_is_the_next_turn(bench: Bench) -> None:
    bench.generator.script[:] = [f"{SAYS} {SAYS} {SAYS}"]
    conversation = await bench.hear(1, "How long may I send it back", channel="web")
    await until(lambda: conversation in bench.hub.live and bool(bench.hub.live[conversation].sentences))
    bench.generator.goes_on.clear()
    await bench.hear(2, "unopened", channel="web")
    bench.generator.goes_on.set()
    await until(lambda: not bench.lanes._lanes)
    assert await bench.questions() == ["How long may I send it back?", "unopened?"]
    assert bench.generator.closed == 0


async def test_a_repeat_of_the_platform_disturbs_nothing(bench: Bench) -> None:
    bench.generator.goes_on.clear()
    await bench.hear(1, "How long may I send it back", channel="web")
    await until(lambda: len(bench.generator.prompts) == 1)
    await bench.hear(1, "How long may I send it back", channel="web")
    bench.generator.goes_on.set()
    await until(lambda: not bench.lanes._lanes)
    assert len(bench.generator.prompts) == 1
    assert await bench.questions() == ["How long may I send it back?"]


async def test_who_writes_on_and_on_is_answered_all_the_same(bench: Bench) -> None:
    bench.generator.goes_on.clear()
    for number in range(1, MOST_TIMES_ANEW + 3):
        await bench.hear(number, f"more {number}", channel="web")
        await until(lambda number=number: len(bench.generator.prompts) >= min(number, MOST_TIMES_ANEW + 1))  # type: ignore[misc]
    bench.generator.goes_on.set()
    await until(lambda: not bench.lanes._lanes)
    first, second = await bench.questions()
    assert first.count("more") == MOST_TIMES_ANEW + 1
    assert first.count("more") + second.count("more") == MOST_TIMES_ANEW + 2


async def test_the_reader_sees_that_an_answer_is_being_written(tmp_path: Path) -> None:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    names = ("app_secret", "verify_token", "access_token")
    whatsapp = build_channel("whatsapp", app="main", secrets=dict.fromkeys(names, "s"), api_url="http://127.0.0.1:9")
    bench = Bench(db, ScriptedGenerator([SAYS], delay_s=0.02), {("whatsapp", "main"): whatsapp})
    account = next(one.account for one in bench.brand.channels if one.channel == "whatsapp")
    said = InboundMessage(
        "whatsapp", account, "wamid.1", "1555", "1555", "Hi?", {"to": "1555", "message_id": "wamid.1"}
    )
    accepted = await inbox.accept(db, "velmora", said)
    bench.lanes.submit(accepted.conversation_id)
    await until(lambda: not bench.lanes._lanes)
    (call,) = bench.sent
    assert call.fields["typing_indicator"] == {"type": "text"}
    assert await bench.questions() == ["Hi?"], "a sign that does not arrive changes nothing"
    await db.close()


async def test_where_each_message_wants_a_reply_of_its_own_none_is_put_to_another(tmp_path: Path) -> None:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    bench = Bench(db, ScriptedGenerator([SAYS], delay_s=0.02))
    bench.lanes._apart = {"slack"}
    for number in (1, 2, 3):
        await bench.hear(number, f"question {number}", ended=True)
    await until(lambda: bool(bench.generator.prompts))
    await bench.hear(4, "question 4")
    await until(lambda: not bench.lanes._lanes)
    assert await bench.questions() == [f"question {number}?" for number in (1, 2, 3, 4)]
    assert bench.generator.closed == 0
    await db.close()


async def test_who_asks_for_a_person_need_not_wait_for_an_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    away = asyncio.Event()
    bench.generator.script[:] = [ModelUnavailable("gone"), SAYS]
    monkeypatch.setattr(bench.lanes, "_engine_ready", away.wait)
    await bench.hear(1, "How long may I send it back", channel="web")
    await until(lambda: len(bench.generator.prompts) == 1)
    asked = InboundMessage("web", "web", "m2", "thread-2", "U2", "I want to speak to a human", {})
    accepted = await inbox.accept(bench.db, "velmora", asked)
    bench.lanes.submit(accepted.conversation_id)
    await until(lambda: len(bench.lanes._lanes) == 1)
    (handed,) = [row for row in await rows(bench.db, turns) if row.state == "done"]
    assert (handed.question, handed.outcome) == ("I want to speak to a human", "handed_off")
    away.set()
    await until(lambda: not bench.lanes._lanes)
    assert {row.state for row in await rows(bench.db, turns)} == {"done"}


def test_patience_looks_at_how_a_message_ends() -> None:
    assert patience_s(message(1, "Hi", ended=False)) == OPEN_S
    assert patience_s(message(1, "", ended=False)) == OPEN_S
    assert patience_s(message(1, 'Where is "my parcel"')) == ENDED_S
    assert patience_s(message(1, "كيف حالك؟", ended=False)) == ENDED_S
    assert patience_s(message(1, "Hi", channel="web", ended=False)) == 0.0


async def test_a_burst_without_a_pause_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "LONGEST_S", 0.2)
    assert LONGEST_S == 5.0
    waiting, clock = Bursts(), asyncio.get_running_loop().time
    began = clock()

    async def write() -> None:
        while True:
            waiting.heard("c", PATIENCE_S)
            await asyncio.sleep(0.02)

    writer = asyncio.create_task(write())
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await waiting.over("c")
    assert clock() - began >= 0.2
    writer.cancel()
