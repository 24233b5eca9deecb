"""Whatever customers, the bot, people and crashes do in whatever order.

No words of the bot begin to go out after a person took over; every message is in the transcript once and in order;
what goes out of one conversation goes out in the order of its turns.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.takeover import Change
from service.delivery import outbox
from service.errors import TakenByAnother
from service.people.desk import Desk
from service.storage.database import Database
from service.storage.tables import conversations as conversations_table
from service.storage.tables import outbox as outbox_table
from service.storage.tables import turns as turns_table
from tests.unit.service.storage.support import BRAND, CHANNELS, Clock, Platform, item, message, reply, rows
from tests.unit.service.storage.test_takeover import VELMORA, house

T = TypeVar("T")
THREADS = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["Anna", "Ben"])
MOST_FAILURES = 2
"""Of calls: with more, a reply may hold up the next no longer, and order is not promised."""


class TakeoverMachine(RuleBasedStateMachine):
    """The model: each conversation's state and owner, what the customer wrote, what went out."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.house = house(nobody_after_min=5, then="bot")
        self.clock = Clock()
        self.platform = Platform()
        self._open()
        self.ids: dict[str, str] = {}
        self.state: dict[str, tuple[str, str | None]] = {}
        self.written: dict[str, list[str]] = {"a": [], "b": []}
        self.running: dict[str, inbox.PendingTurn] = {}
        self.silenced: set[str] = set()
        """Texts of the bot that were ready, and had not begun to go out, when a person came."""
        self.count = 0
        self.failures = 0

    def _open(self) -> None:
        self.db = self.run(Database.open(f"sqlite:///{self.folder}/x.db"))
        self.desk = Desk(self.db, self.house)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def next(self, who: str) -> str:
        self.count += 1
        return f"{who} {self.count}"

    def stored(self, table: Any) -> list[Any]:
        return self.run(rows(self.db, table))

    @initialize()
    def somebody_is_there(self) -> None:
        self.a_customer_writes("a")

    @rule(thread=THREADS)
    def a_customer_writes(self, thread: str) -> None:
        text = self.next(thread)
        accepted = self.run(inbox.accept(self.db, BRAND, message(text, text, key=thread)))
        self.ids[thread] = accepted.conversation_id
        self.state.setdefault(thread, ("bot", None))
        self.written[thread].append(text)

    @rule(thread=THREADS)
    def a_lane_takes_it_up(self, thread: str) -> None:
        turn = self.run(inbox.next_turn(self.db, self.ids.get(thread, "unknown"), house=self.house))
        if turn is None:
            return
        state, _ = self.state[thread]
        if state == "closed":
            self.state[thread] = ("bot", None)
        assert turn.heard == (state in ("waiting", "person"))
        if not turn.heard:
            self.running[thread] = turn

    @precondition(lambda self: any(state == "bot" for state, _ in self.state.values()))
    @rule(
        data=st.data(),
        kind=st.sampled_from(["answer", "hand over", "fail"]),
        meanwhile=st.sampled_from([None, "take", "say", "close"]),
    )
    def a_whole_exchange(self, data: st.DataObject, kind: str, meanwhile: str | None) -> None:
        thread = data.draw(st.sampled_from([one for one, (state, _) in self.state.items() if state == "bot"]))
        self.a_customer_writes(thread)
        self.a_lane_takes_it_up(thread)
        if meanwhile:
            self._act(thread, "Anna", meanwhile, force=False)
        self._ready(thread, kind)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), kind=st.sampled_from(["answer", "hand over", "fail"]))
    def the_bot_is_ready(self, data: st.DataObject, kind: str) -> None:
        self._ready(data.draw(st.sampled_from(sorted(self.running))), kind)

    def _ready(self, thread: str, kind: str) -> None:
        turn, text = self.running.pop(thread), self.next("bot")
        may = self.state[thread][0] == "bot" and not self._over(turn.id)
        if kind == "fail":
            out = self.run(conversations.fail(self.db, turn.id, "x", text, outbox=item(text), house=self.house))
        else:
            handoff = "wants a person" if kind == "hand over" else None
            out = self.run(
                conversations.finish(
                    self.db, turn.id, reply(text), outbox=item(text), handoff=handoff, house=self.house
                )
            )
            if may and handoff:
                self.state[thread] = ("waiting", None)
        assert out == may

    @rule(data=st.data(), name=NAMES, act=st.sampled_from(["take", "say"]), force=st.booleans())
    def a_person_comes(self, data: st.DataObject, name: str, act: str, force: bool) -> None:
        self._act(data.draw(st.sampled_from(sorted(self.ids))), name, act, force=force)

    @rule(data=st.data(), name=NAMES, act=st.sampled_from(["give back", "close"]), force=st.booleans())
    def a_person_leaves(self, data: st.DataObject, name: str, act: str, force: bool) -> None:
        self._act(data.draw(st.sampled_from(sorted(self.ids))), name, act, force=force)

    def _act(self, thread: str, name: str, act: str, *, force: bool) -> None:
        conversation, (state, owner) = self.ids[thread], self.state[thread]
        ready = {row.text for row in self._planned(conversation)}
        text = self.next(name)
        work: dict[str, Callable[[], Coroutine[Any, Any, Change]]] = {
            "take": lambda: self.desk.take(conversation, by=name, force=force),
            "say": lambda: self.desk.say(conversation, by=name, text=text, key=text, force=force),
            "give back": lambda: self.desk.give_back(conversation, by=name, force=force),
            "close": lambda: self.desk.close(conversation, by=name, force=force),
        }
        if state == "person" and owner != name and not force:
            with pytest.raises(TakenByAnother, match=str(owner)):
                self.run(work[act]())
            return
        self.run(work[act]())
        after = {"take": "person", "say": "person", "give back": "bot", "close": "closed"}[act]
        self.state[thread] = (after, name if after == "person" else None)
        comes = (after == "person" and (state, owner) != ("person", name)) or (after == "closed" != state)
        if comes:
            self.silenced |= {one for one in ready if one.startswith("bot")}

    @rule(minutes=st.sampled_from([1, 6]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(60 * minutes)
        before = {row.id: row.state for row in self.stored(conversations_table)}
        self.run(self.desk.nobody_came(clock=self.clock))
        for thread, conversation in self.ids.items():
            (row,) = [one for one in self.stored(conversations_table) if one.id == conversation]
            if before[conversation] == "waiting" and row.state == "bot":
                self.state[thread] = ("bot", None)

    @rule(fails=st.booleans())
    def the_outbox_is_looked_at(self, fails: bool) -> None:
        if fails and self.failures < MOST_FAILURES:
            self.failures += 1
            self.platform.script = [503]
        self.clock.advance(40_000)
        self.run(outbox.deliver_due(self.db, CHANNELS, self.platform.send, clock=self.clock))
        self.platform.script = []

    @rule()
    def it_crashes(self) -> None:
        self.run(self.db.close())
        self._open()
        self.run(outbox.recover(self.db))

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        known = {row.id: (row.state, row.owner) for row in self.stored(conversations_table)}
        assert known == {self.ids[thread]: state for thread, state in self.state.items()}

    @invariant()
    def what_was_silenced_stays_silent(self) -> None:
        assert not self.silenced & set(self.platform.taken)

    def _over(self, turn: str) -> bool:
        (row,) = [one for one in self.stored(turns_table) if one.id == turn]
        return bool(row.state != "running")

    def _planned(self, conversation: str) -> list[Any]:
        mine = {row.id for row in self.stored(turns_table) if row.conversation_id == conversation}
        return [row for row in self.stored(outbox_table) if row.turn_id in mine and row.state == "planned"]

    def teardown(self) -> None:
        try:
            for thread in self.ids:
                self.running.pop(thread, None)
                while (turn := self.run(inbox.next_turn(self.db, self.ids[thread], house=self.house))) is not None:
                    if not turn.heard:
                        text = self.next("bot")
                        self.run(
                            conversations.finish(
                                self.db, turn.id, reply(text), outbox=item(text), handoff=None, house=self.house
                            )
                        )
            for _ in range(4):
                self.clock.advance(40_000)
                self.run(outbox.deliver_due(self.db, CHANNELS, self.platform.send, clock=self.clock))
            assert not self.silenced & set(self.platform.taken)
            assert len(self.platform.taken) == len(self._sent()), "each once"
            order = {row.id: (row.conversation_id, row.number) for row in self.stored(turns_table)}
            of_text = {row.text: order[row.turn_id] for row in self.stored(outbox_table)}
            for thread, conversation in self.ids.items():
                seen, _ = self.run(conversations.transcript(self.db, conversation, limit=1000))
                assert [one for view in seen for one in view.question.split("\n") if one] == self.written[thread]
                notices = {VELMORA.handover.words.waiting, VELMORA.handover.words.nobody}
                went = [of_text[text] for text in self.platform.taken if text not in notices]
                mine = [number for one, number in went if one == conversation]
                assert mine == sorted(mine)
            assert {row.state for row in self.stored(turns_table)} <= {"done", "failed", "heard", "withheld"}
        finally:
            self.run(self.db.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    def _sent(self) -> list[Any]:
        return [row for row in self.stored(outbox_table) if row.state == "sent"]


TestTakeover = pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="copies files")(TakeoverMachine.TestCase)
TestTakeover.settings = settings(
    max_examples=25,
    stateful_step_count=30,
)
