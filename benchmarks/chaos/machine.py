"""Any order of messages, repeats, turns, sends, lost answers and crashes over inbox and outbox, against a model.

Real transactions on a real SQLite file. A crash drops all objects, mid-send where a send is under way, and opens the
file again. `InboxMachine` in the tests does the same for the inbox alone.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from benchmarks.chaos.table import Row, Stopwatch
from channels.base import Capabilities, Channel, InboundMessage, OutboundReply, Request
from channels.errors import DeliveryFailed
from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.events import Reply
from service.delivery import outbox
from service.delivery.outbox import OutboxItem
from service.storage.database import Database, now
from service.storage.tables import inbox as inbox_table
from service.storage.tables import outbox as outbox_table
from service.storage.tables import turns as turns_table

T = TypeVar("T")
PEOPLE = st.sampled_from(["a", "b", "c"])
FATES = st.sampled_from(
    ["taken", "taken", "taken", "dropped", "busy", "refused", "no line", "killed before", "killed after"]
)
BRAND = "harbor"
STEPS = 30
USAGE = {"prompt_tokens": 10, "completion_tokens": 2}


class _Killed(BaseException):
    """Stands for kill -9: nothing of ours gets to run after it."""


class _Lines:
    """A channel that sends each line as a call of its own; `edit` calls show once however often they are made."""

    capabilities = Capabilities(max_text_chars=4000, ack_deadline_s=3.0)

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One call a line."""
        lines = reply.text.split("\n")
        return [Request("POST", "https://p.test", {}, {"text": line}, repeatable=self.name == "edit") for line in lines]

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The platform's id, or what it says against it."""
        if status == 200:
            return body.decode()
        raise DeliveryFailed(
            f"status {status}", retryable=status == 429, retry_after_s=7.0 if "retry-after" in headers else None
        )


CHANNELS = cast("Mapping[tuple[str, str], Channel]", {(name, "main"): _Lines(name) for name in ("edit", "none")})


@functools.cache
def _template() -> Path:
    """A migrated, empty database: copied for each example, since migrating takes most of the time."""
    folder = Path(tempfile.mkdtemp(prefix="brandvoice-machine-"))

    async def make() -> None:
        await (await Database.open(f"sqlite:///{folder}/x.db")).close()

    asyncio.run(make())
    return folder / "x.db"


class WayOfAMessage(RuleBasedStateMachine):
    """The model: what was accepted, which turns ended with what, and what the platform shows."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="brandvoice-machine-"))
        shutil.copy(_template(), self.folder / "x.db")
        self.runner = asyncio.Runner()
        self.db = self.run(Database.open(f"sqlite:///{self.folder}/x.db"))
        self.at = now()
        self.accepted: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        self.conversation: dict[str, str] = {}
        self.turn: dict[str, inbox.PendingTurn] = {}
        self.replies: dict[str, tuple[str, str]] = {}
        """Text and person of each finished turn."""
        self.made: Counter[str] = Counter()
        """How often the platform took each line."""
        self.order: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        """Lines as each person came to read them."""
        self.fates: list[str] = []
        self.number = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it."""
        return self.runner.run(work)

    @rule(person=PEOPLE, copies=st.integers(1, 3))
    def write(self, person: str, copies: int) -> None:
        """A person writes, and the platform delivers it once or more at once."""
        one = f"{person}{len(self.accepted[person])}"
        # Who edits on whose platform: the person says.
        channel = "edit" if person == "a" else "none"
        message = InboundMessage(channel, "T1", one, person, person, f"text {one}", {"to": person})

        async def deliver() -> list[inbox.Accepted]:
            return list(await asyncio.gather(*(inbox.accept(self.db, BRAND, message) for _ in range(copies))))

        found = self.run(deliver())
        assert sorted(each.duplicate for each in found) == [False] + [True] * (copies - 1)
        self.conversation[person] = found[0].conversation_id
        self.accepted[person].append(one)

    @rule(person=PEOPLE)
    def begin(self, person: str) -> None:
        """The lane takes up what waits."""
        if person in self.conversation and (turn := self.run(inbox.next_turn(self.db, self.conversation[person]))):
            self.turn[person] = turn

    @precondition(lambda self: self.turn)
    @rule(data=st.data(), lines=st.integers(1, 3), fails=st.booleans())
    def answer(self, data: st.DataObject, lines: int, fails: bool) -> None:
        """A turn ends with a reply of some lines."""
        person = data.draw(st.sampled_from(sorted(self.turn)))
        turn = self.turn.pop(person)
        self.number += 1
        text = "\n".join(f"{person}-{self.number:03d}-{line}" for line in range(lines))
        item = OutboxItem(turn.channel, "main", "T1", {"to": person}, text, ())
        if fails:
            self.run(conversations.fail(self.db, turn.id, "timeout", text, outbox=item))
        else:
            reply = Reply(text, "answered", (), {"brand": BRAND, "version": "v1"}, USAGE, {}, {})
            self.run(conversations.finish(self.db, turn.id, reply, outbox=item, handoff=None))
        self.replies[turn.id] = (text, person)

    @rule(fates=st.lists(FATES, max_size=6), wait_s=st.sampled_from([0, 6, 40, 400, 3000]))
    def deliver(self, fates: list[str], wait_s: int) -> None:
        """Some time passes, then the outbox sends what is due; the platform does as these fates say."""
        self.at += timedelta(seconds=wait_s)
        self.fates = fates

        def clock() -> datetime:
            return self.at

        try:
            self.run(outbox.deliver_due(self.db, CHANNELS, self._send, clock=clock))
        except _Killed:
            self.crash()
        self.fates = []

    @rule()
    def crash(self) -> None:
        """Everything in memory is gone; the gateway starts again."""
        self.run(self.db.close())
        self.db = self.run(Database.open(f"sqlite:///{self.folder}/x.db"))
        self.turn = {}
        self.run(outbox.recover(self.db))
        for conversation in self.run(inbox.unfinished(self.db)):
            turn = self.run(inbox.next_turn(self.db, conversation))
            assert turn is not None
            person = next(name for name, one in self.conversation.items() if one == conversation)
            self.turn[person] = turn

    async def _send(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        fate, text = (self.fates.pop(0) if self.fates else "taken"), str(request.fields["text"])
        match fate:
            case "busy":
                return 429, {"retry-after": "7"}, b""
            case "refused":
                return 403, {}, b""
            case "no line":
                raise ConnectionRefusedError(111, "refused")
            case "killed before":
                raise _Killed
        # Whatever our side thinks of the call: only the platform of `a` shows a repeat once.
        if not (self.made[text] and text.startswith("a")):
            self.order[text[0]].append(text)
        self.made[text] += 1
        if fate == "dropped":
            raise TimeoutError("no answer")
        if fate == "killed after":
            raise _Killed
        return 200, {}, f"id-{text}".encode()

    def teardown(self) -> None:
        """Let everything come to its end, then hold the platform against the model."""
        try:
            self._come_to_an_end()
            self._hold()
        finally:
            self.run(self.db.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    def _come_to_an_end(self) -> None:
        self.fates = []
        self.crash()
        while self.turn:
            person, turn = self.turn.popitem()
            text = f"{person}-{self.number + 1:03d}-0"
            self.number += 1
            item = OutboxItem(turn.channel, "main", "T1", {"to": person}, text, ())
            self.run(conversations.fail(self.db, turn.id, "timeout", text, outbox=item))
            self.replies[turn.id] = (text, person)
            self.begin(person)
        for _ in range(12):
            self.deliver([], 50_000)

    def _hold(self) -> None:
        """Every message in one turn and in order; every line shown once, or its reply counted as unknown or failed."""
        stored = self._rows(inbox_table)
        assert all(row.turn_id in self.replies for row in stored), "a message without an answer"
        for person, ids in self.accepted.items():
            mine = [row.message_id for row in stored if row.message_id.startswith(person)]
            assert mine == ids, "messages lost, doubled or out of order"
        numbers = {row.id: row.number for row in self._rows(turns_table)}
        states = {row.turn_id: row.state for row in self._rows(outbox_table)}
        assert set(states) == set(self.replies), "a turn without a reply, or a reply without a turn"
        assert set(states.values()) <= {"sent", "failed", "unknown"}, f"stuck: {states}"
        for turn, (text, person) in self.replies.items():
            for line in text.split("\n"):
                shown = self.order[person].count(line)
                assert shown <= 1, f"{line} shown {shown} times"
                assert shown == 1 or states[turn] in ("failed", "unknown"), f"{line} lost, {states[turn]}"
        for person, lines in self.order.items():
            mine = sorted((numbers[turn], text) for turn, (text, name) in self.replies.items() if name == person)
            right = [line for _, text in mine for line in text.split("\n") if line in lines]
            assert [line for line in right if self._in_time(line)] == [line for line in lines if self._in_time(line)]

    def _in_time(self, line: str) -> bool:
        """Whether a line's order is promised: what failed more often than `IN_ORDER_ATTEMPTS` holds nothing up."""
        attempts = {text: row.attempts for row in self._rows(outbox_table) for text in row.text.split("\n")}
        return bool(attempts[line] <= outbox.IN_ORDER_ATTEMPTS)

    def _rows(self, table: Any) -> list[Any]:
        query = select(table).order_by(*table.primary_key.columns)
        return list(self.run(self.db.read(lambda connection: connection.execute(query).all())))


def profile(examples: int, *, shrink: bool = True) -> settings:
    """How many orders of steps are tried, and whether one that fails is made smaller; machines are slow at times."""
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=slow,
        database=None,
        phases=phases,
    )


async def orders(*, seed: int, examples: int) -> list[Row]:
    """Try many orders of steps.

    Args:
        seed: Of the orders.
        examples: How many.
    """
    watch, wrong = Stopwatch(), ""
    try:
        # The machine runs loops of its own, so it stands in a thread.
        await asyncio.to_thread(
            run_state_machine_as_test,
            with_seed(seed)(WayOfAMessage),
            settings=profile(examples),
        )
    except Exception as error:
        wrong = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return [
        Row(
            f"any order of {STEPS} steps over inbox, lanes' turns, outbox and crashes",
            examples,
            "the model's answers",
            wrong or "the same each time",
            not wrong,
            watch.seconds,
        )
    ]
