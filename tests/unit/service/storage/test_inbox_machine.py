"""Whatever happens in whatever order: every message is answered by exactly one turn, and in order."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from service.conversation import inbox
from service.conversation import store as conversations
from service.storage.database import Database
from service.storage.tables import inbox as inbox_table
from service.storage.tables import outbox as outbox_table
from service.storage.tables import turns as turns_table
from tests.unit.service.storage.support import BRAND, item, message, reply, rows

T = TypeVar("T")
THREADS = st.sampled_from(["a", "b", "c"])


class InboxMachine(RuleBasedStateMachine):
    """The model: what was accepted, what waits, what runs, what is over."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.db = self.run(Database.open(f"sqlite:///{self.folder}/x.db"))
        self.ids: dict[str, str] = {}
        self.accepted: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        self.waiting: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        self.running: dict[str, inbox.PendingTurn] = {}
        self.over: dict[str, str] = {}
        """Turn to its text."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def start_empty(self) -> None:
        assert self.run(inbox.unfinished(self.db)) == []

    @rule(thread=THREADS, repeats=st.integers(1, 3))
    def accept(self, thread: str, repeats: int) -> None:
        new = f"{thread}{len(self.accepted[thread])}"

        async def deliver() -> list[inbox.Accepted]:
            once = message(new, f"text {new}", key=thread)
            return await asyncio.gather(*(inbox.accept(self.db, BRAND, once) for _ in range(repeats)))

        got = self.run(deliver())
        assert sorted(one.duplicate for one in got) == [False] + [True] * (repeats - 1)
        self.ids.setdefault(thread, got[0].conversation_id)
        assert {one.conversation_id for one in got} == {self.ids[thread]}
        self.accepted[thread].append(new)
        self.waiting[thread].append(new)

    @precondition(lambda self: any(self.accepted.values()))
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        thread = data.draw(st.sampled_from([t for t, ids in self.accepted.items() if ids]))
        old = data.draw(st.sampled_from(self.accepted[thread]))
        assert self.run(inbox.accept(self.db, BRAND, message(old, "changed", key=thread))).duplicate

    @rule(thread=THREADS)
    def next_turn(self, thread: str) -> None:
        turn = self.run(inbox.next_turn(self.db, self.ids.get(thread, "unknown")))
        before = self.running.get(thread)
        asked = [*(before.client_ids if before else ()), *self.waiting[thread]]
        if not asked:
            assert turn is None
            return
        assert turn is not None
        assert before is None or turn.id == before.id
        assert turn.client_ids == tuple(asked)
        assert turn.question == "\n".join(f"text {one}" for one in asked)
        self.running[thread] = turn
        self.waiting[thread] = []

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: st.DataObject, fails: bool) -> None:
        thread = data.draw(st.sampled_from(sorted(self.running)))
        self._end(self.running.pop(thread).id, "failed" if fails else "answered", fails)

    @precondition(lambda self: self.over)
    @rule(data=st.data(), fails=st.booleans())
    def end_again(self, data: st.DataObject, fails: bool) -> None:
        turn = data.draw(st.sampled_from(sorted(self.over)))
        kept = self.over[turn]
        self._end(turn, "a second reply", fails)
        self.over[turn] = kept

    @rule()
    def crash(self) -> None:
        self.run(self.db.close())
        self.db = self.run(Database.open(f"sqlite:///{self.folder}/x.db"))
        unanswered = {self.ids[thread] for thread, waiting in self.waiting.items() if waiting}
        cut = {self.ids[thread] for thread in self.running}
        assert self.run(inbox.unfinished(self.db)) == sorted(unanswered | cut)

    def _end(self, turn: str, text: str, fails: bool) -> None:
        if fails:
            self.run(conversations.fail(self.db, turn, "timeout", text, outbox=item(text)))
        else:
            self.run(conversations.finish(self.db, turn, reply(text), outbox=item(text), handoff=None))
        self.over[turn] = text

    def teardown(self) -> None:
        try:
            for thread, conversation in self.ids.items():
                while turn := self.run(inbox.next_turn(self.db, conversation)):
                    self._end(turn.id, "late", fails=False)
                seen, _ = self.run(conversations.transcript(self.db, conversation, limit=1000))
                assert [one for view in seen for one in view.client_ids] == self.accepted[thread]
                assert {view.state for view in seen} <= {"done", "failed"}
                assert {view.id: view.text for view in seen} == {
                    turn: text for turn, text in self.over.items() if turn in {view.id for view in seen}
                }
            assert self.run(inbox.unfinished(self.db)) == []
            stored = self.run(rows(self.db, inbox_table))
            assert len(stored) == sum(map(len, self.accepted.values()))
            assert {row.turn_id for row in stored} == {row.id for row in self.run(rows(self.db, turns_table))}
            replies = {row.turn_id: row.text for row in self.run(rows(self.db, outbox_table))}
            assert replies == self.over
        finally:
            self.run(self.db.close())
            self.runner.close()
            shutil.rmtree(self.folder)


TestInbox = pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="copies files")(InboxMachine.TestCase)
TestInbox.settings = settings(
    max_examples=20,
    stateful_step_count=25,
)
