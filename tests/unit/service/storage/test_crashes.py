"""Turns over which the process dies, on a real database: begun again, alone at the end, and then given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from retrieval.prompt import Message
from service.conversation import inbox
from service.people.handoffs import list_handoffs
from service.ports import Piece, Sampling
from service.storage.database import Database
from service.storage.tables import outbox, turns
from service.testing import ScriptedGenerator
from service.turns import endings, lanes
from service.turns.lanes import STARTS
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import rows
from tests.unit.service.test_lanes import SAYS, Bench, message

POISON = "poison"


class Deadly(ScriptedGenerator):
    """Its process dies over a question with a certain word; all others take their time."""

    def __init__(self) -> None:
        super().__init__([SAYS], delay_s=0.05)
        self.dead = asyncio.Event()

    async def stream(
        self, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        if POISON in messages[-1].content:
            self.dead.set()
        async for piece in super().stream(messages, model=model, sampling=sampling, gather_s=gather_s):
            yield piece


class Life(Bench):
    """One process of a gateway, from its start to its end by kill -9."""

    def __init__(self, db: Database) -> None:
        self.deadly = Deadly()
        super().__init__(db, self.deadly)

    async def run(self) -> bool:
        """Take up what is there; whether the process dies over it."""
        await self.lanes.resume()
        died = asyncio.create_task(self.deadly.dead.wait())
        done = asyncio.create_task(until(lambda: not self.lanes._lanes))
        await asyncio.wait((died, done), return_when=asyncio.FIRST_COMPLETED)
        dead = died.done()
        died.cancel()
        if dead:
            await self.kill()
        await done
        return dead

    async def kill(self) -> None:
        """Nothing of its lanes gets to run on."""
        tasks = list(self.lanes._lanes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def accept(db: Database, number: int, text: str, key: str) -> None:
    said = message(number, text)
    said = type(said)("slack", Life(db).account, said.message_id, key, said.sender, said.text, said.reply_to)
    await inbox.accept(db, "velmora", said)


async def test_after_three_deaths_a_turn_is_given_up_and_a_person_is_asked_for(db: Database) -> None:
    await accept(db, 1, f"What of this {POISON}", "thread-1")
    assert [await Life(db).run() for _ in range(STARTS + 1)] == [*[True] * STARTS, False]
    (turn,) = await rows(db, turns)
    last = Life(db)
    assert (turn.state, turn.error_code, turn.starts) == ("failed", "gave_up", STARTS + 1)
    assert turn.text in last.brand.words.handovers
    assert [row.text for row in await rows(db, outbox)] == [turn.text]
    (handoff,) = await list_handoffs(db)
    assert handoff.state == "open"
    assert "each time the gateway died" in handoff.reason
    await accept(db, 2, "How long may I send it back", "thread-1")
    assert not await last.run()
    assert await last.questions() == ["How long may I send it back?"]
    assert not any(POISON in one.content for one in last.deadly.prompts[-1]), "nor is it remembered"


async def test_whoever_ran_beside_it_is_answered(db: Database) -> None:
    others = [f"How long may I send back item {number}" for number in range(5)]
    await accept(db, 0, f"What of this {POISON}", "thread-0")
    for number, text in enumerate(others, 1):
        await accept(db, number, text, f"thread-{number}")
    deaths = 0
    while await Life(db).run():
        deaths += 1
        assert deaths <= STARTS
    ended = {row.question: row.state for row in await rows(db, turns)}
    assert ended.pop(f"What of this {POISON}?") == "failed"
    assert set(ended) == {f"{text}?" for text in others}
    assert set(ended.values()) == {"done"}


async def test_a_process_that_ends_in_order_is_not_counted(db: Database) -> None:
    await accept(db, 1, "How long may I send it back", "thread-1")
    for _ in range(STARTS + 2):
        life = Life(db)
        await life.lanes.resume()
        await until(lambda life=life: bool(life.deadly.prompts))  # type: ignore[misc]
        await life.lanes.drain(0)
        (turn,) = await rows(db, turns)
        assert (turn.state, turn.starts) == ("running", 0)
    assert not await Life(db).run()
    (turn,) = await rows(db, turns)
    assert turn.state == "done"


async def test_a_database_that_is_away_is_no_death(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "STORAGE_PATIENCE_S", 0.01)
    await accept(db, 1, "How long may I send it back", "thread-1")
    life, times = Life(db), iter(range(STARTS + 2))
    finish = endings.conversations.finish

    async def away(*words: object, **more: object) -> bool:
        if next(times, None) is not None:
            raise lanes.StorageUnavailable("locked")
        return await finish(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(endings.conversations, "finish", away)
    assert not await life.run()
    (turn,) = await rows(db, turns)
    assert (turn.state, turn.starts) == ("done", 1)
