"""Platforms that can be asked, or that tell, what they have of a reply."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels.base import Channel, OutboundReply, Receipt, Request, part_mark, read_mark
from channels.errors import DeliveryFailed
from service.delivery import outbox, receipts
from service.delivery.schedule import JITTER
from service.delivery.stuck import send_again, stuck
from service.storage.database import Database
from service.storage.tables import outbox as outbox_table
from service.storage.tables import sent_parts
from tests.unit.service.storage.support import Clock, Killed, LinesChannel, answered, rows

PASSES = DeliveryFailed("Too much to one person.", retryable=True, code="131056", backoff_base=4.0)
FINAL = DeliveryFailed("More than 24 hours.", retryable=False, code="131047")


class _Tells(LinesChannel):
    """Each line is a call that carries its mark; the platform tells what it has."""

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        return [
            Request("POST", "https://platform.test", {}, {"text": line, "mark": part_mark(outbound.idempotency_key, n)})
            for n, line in enumerate(outbound.text.split("\n"), start=1)
        ]


class _IsAsked(_Tells):
    """The platform can be asked."""

    def look_up(self, reply: OutboundReply) -> Request | None:
        return Request("GET", "https://platform.test", {}, {"ask": reply.idempotency_key})

    def found(self, reply: OutboundReply, status: int, headers: Mapping[str, str], body: bytes) -> Mapping[int, str]:
        del headers
        if status != 200:
            raise DeliveryFailed(f"status {status}", retryable=status >= 429)
        marks = {read_mark(mark): one for mark, one in json.loads(body).items()}
        return {part: one for (key, part), one in marks.items() if key == reply.idempotency_key}


TELLS = {("slack", "main"): cast("Channel", _Tells())}
ASKED = {("slack", "main"): cast("Channel", _IsAsked())}


@dataclass
class _Lossy:
    """A platform that may take a call and answer as if not, and the other way round; by a script of what happens."""

    script: list[str | int] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    """By mark."""
    asked: int = 0

    async def send(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        act = self.script.pop(0) if self.script else "take"
        if act == "killed before":
            raise Killed
        if act == "no line":
            raise ConnectionRefusedError(111, "refused")
        if act in (429, 503):
            return int(act), {}, b""
        if "ask" in request.fields:
            self.asked += 1
            answer = json.dumps(self.ids).encode()
        else:
            mark = str(request.fields["mark"])
            self.taken.append(str(request.fields["text"]))
            self.ids[mark] = f"id-{len(self.taken)}"
            answer = self.ids[mark].encode()
        if act == "killed after":
            raise Killed
        if act == "answer lost":
            raise TimeoutError("no answer")
        if act == "taken, and 500":
            return 500, {}, b""
        return 200, {}, answer

    def tells(self, failure: DeliveryFailed | None = None) -> list[Receipt]:
        """What it has, as it would tell it."""
        state = cast("Any", "failed" if failure else "sent")
        return [Receipt("T1", state, mark, one, failure) for mark, one in self.ids.items()]


async def _only(db: Database) -> Any:
    (row,) = await rows(db, outbox_table)
    return row


async def _told(db: Database, heard: Sequence[Receipt], app: str = "main") -> dict[str, int]:
    return dict(await receipts.take(db, "slack", app, heard))


@pytest.mark.parametrize("early", [True, False], ids=["before the start", "after it was counted as unknown"])
async def test_a_part_in_doubt_of_which_the_platform_tells_counts_as_sent(db: Database, early: bool) -> None:
    await answered(db, text="one\ntwo")
    platform = _Lossy(["killed after"])
    with pytest.raises(Killed):
        await outbox.deliver_due(db, TELLS, platform.send)
    if early:
        assert await _told(db, platform.tells()) == {"news": 1}
    await outbox.recover(db)
    assert (await outbox.deliver_due(db, TELLS, platform.send))["sent" if early else "unknown"] == 1
    if not early:
        assert (await _only(db)).provider_ids == [receipts.UNKNOWN, "id-2"]
        assert await _told(db, platform.tells()) == {"news": 1, "known": 1}
    row = await _only(db)
    assert (row.state, row.provider_ids, platform.taken) == ("sent", ["id-1", "id-2"], ["one", "two"])
    assert await _told(db, platform.tells()) == {"known": 2}


async def test_a_part_of_which_nothing_is_heard_stays_unknown(db: Database) -> None:
    await answered(db)
    platform, clock = _Lossy(["killed before"]), Clock()
    with pytest.raises(Killed):
        await outbox.deliver_due(db, TELLS, platform.send)
    await outbox.recover(db)
    assert (await outbox.deliver_due(db, TELLS, platform.send, clock=clock))["unknown"] == 1
    clock.advance(1e6)
    assert sum((await outbox.deliver_due(db, TELLS, platform.send, clock=clock)).values()) == 0
    assert platform.taken == []


async def test_after_a_server_error_a_part_that_was_told_of_is_not_sent_again(db: Database) -> None:
    await answered(db)
    platform, clock = _Lossy(["taken, and 500"]), Clock()
    assert (await outbox.deliver_due(db, TELLS, platform.send, clock=clock))["put_off"] == 1
    await _told(db, platform.tells())
    clock.advance(60)
    assert (await outbox.deliver_due(db, TELLS, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one"]


@pytest.mark.parametrize("act", ["killed after", "answer lost", "taken, and 500", "killed before", "no line", 503])
async def test_a_platform_is_asked_before_a_part_in_doubt_is_sent_again(db: Database, act: str | int) -> None:
    await answered(db, text="one\ntwo")
    platform, clock = _Lossy([act, "take", "take"]), Clock()
    try:
        await outbox.deliver_due(db, ASKED, platform.send, clock=clock)
    except Killed:
        await outbox.recover(db)
    clock.advance(60)
    assert (await outbox.deliver_due(db, ASKED, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one", "two"]
    # Of what surely did not arrive nobody need ask.
    assert platform.asked == (act != "no line")


async def test_a_platform_that_does_not_answer_is_asked_later_and_in_the_end_given_up_as_unknown(db: Database) -> None:
    await answered(db)
    platform, clock = _Lossy(["answer lost", 503, "no line"]), Clock()
    for _ in range(3):
        assert (await outbox.deliver_due(db, ASKED, platform.send, clock=clock))["put_off"] == 1
        clock.advance(1e5)
    assert (await outbox.deliver_due(db, ASKED, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one"]

    await answered(db, key="thread-2", text="two")
    platform.script = ["answer lost", *[503] * 100]
    results = []
    for _ in range(10):
        results += [k for k, n in (await outbox.deliver_due(db, ASKED, platform.send, clock=clock)).items() if n]
        clock.advance(1e5)
    assert (results[0], results[-1], platform.taken) == ("put_off", "unknown", ["one", "two"])
    platform.script = []
    (found,) = await stuck(db)
    await send_again(db, [found.id])
    assert (await outbox.deliver_due(db, ASKED, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one", "two"], "it was asked, and had it"


async def test_a_platform_that_may_not_be_asked_leaves_it_unknown(db: Database) -> None:
    await answered(db)
    clock = Clock()

    async def send(request: Request) -> tuple[int, dict[str, str], bytes]:
        if "ask" in request.fields:
            return 403, {}, b""
        raise TimeoutError

    await outbox.deliver_due(db, ASKED, send, clock=clock)
    clock.advance(60)
    assert (await outbox.deliver_due(db, ASKED, send, clock=clock))["unknown"] == 1


async def test_a_message_that_fails_later_makes_its_reply_failed_with_the_reason(db: Database) -> None:
    await answered(db, text="one\ntwo")
    platform = _Lossy()
    await outbox.deliver_due(db, TELLS, platform.send)
    failed = Receipt("T1", "failed", message_id="id-1", failure=FINAL)
    assert await _told(db, [failed]) == {"news": 1}
    (found,) = await stuck(db)
    assert (found.state, found.reason) == ("failed", "told later: More than 24 hours.")
    assert await _told(db, [failed, Receipt("T1", "sent", message_id="id-1")]) == {"known": 2}
    assert (await _only(db)).state == "failed"


async def test_a_failure_told_while_the_call_is_under_way_counts_when_its_answer_is_recorded(db: Database) -> None:
    await answered(db)
    platform = _Lossy()

    async def send(request: Request) -> tuple[int, Mapping[str, str], bytes]:
        answer = await platform.send(request)
        await _told(db, platform.tells(FINAL))
        return answer

    assert (await outbox.deliver_due(db, TELLS, send))["failed"] == 1


async def test_a_message_that_failed_by_a_passing_limit_is_sent_anew_after_the_platforms_own_wait(db: Database) -> None:
    await answered(db)
    platform, clock = _Lossy(), Clock()
    await outbox.deliver_due(db, TELLS, platform.send, clock=clock)
    old = platform.tells(PASSES)
    await _told(db, old)
    row = await _only(db)
    assert (row.state, row.provider_ids) == ("planned", [])
    waits = (row.next_attempt_at - clock()).total_seconds() + 60
    assert 4 - 1 < waits < 4 * (1 + JITTER) + 1
    clock.advance(60)
    assert (await outbox.deliver_due(db, TELLS, platform.send, clock=clock))["sent"] == 1
    # Told again, as every webhook may be: the old message is not the one that is there now.
    assert await _told(db, old) == {"known": 1}
    row = await _only(db)
    assert (row.state, row.provider_ids, platform.taken) == ("sent", ["id-2"], ["one", "one"])
    for _ in range(20):
        await _told(db, platform.tells(PASSES))
        clock.advance(1e6)
        await outbox.deliver_due(db, TELLS, platform.send, clock=clock)
    assert (await _only(db)).state == "failed", "not for ever"


async def test_what_was_told_of_a_message_that_was_sent_anew_says_nothing_of_the_new_one(db: Database) -> None:
    await answered(db)
    platform, clock = _Lossy(["take", "killed before"]), Clock()
    await outbox.deliver_due(db, TELLS, platform.send, clock=clock)
    await _told(db, platform.tells(PASSES))
    clock.advance(60)
    with pytest.raises(Killed):
        await outbox.deliver_due(db, TELLS, platform.send, clock=clock)
    await outbox.recover(db)
    assert (await outbox.deliver_due(db, TELLS, platform.send, clock=clock))["unknown"] == 1
    assert (await _only(db)).provider_ids == [receipts.UNKNOWN]


async def test_an_earlier_part_that_fails_is_not_sent_after_the_later_one(db: Database) -> None:
    await answered(db, text="one\ntwo")
    platform = _Lossy()
    await outbox.deliver_due(db, TELLS, platform.send)
    await _told(db, [Receipt("T1", "failed", message_id="id-1", failure=PASSES)])
    assert (await _only(db)).state == "failed"


async def test_only_the_app_that_sent_a_reply_can_tell_of_it(db: Database) -> None:
    await answered(db)
    platform = _Lossy()
    await outbox.deliver_due(db, TELLS, platform.send)
    assert await _told(db, platform.tells(FINAL), app="other") == {"unmatched": 1}
    key = (await _only(db)).id
    foreign = [
        Receipt("T2", "failed", key, "id-9", FINAL),
        Receipt("T1", "failed", "nobody's", "id-9", FINAL),
        Receipt("T1", "failed", f"{key}:x", "id-9", FINAL),
        Receipt("T1", "failed", key, "x" * 500, FINAL),
        Receipt("T1", "failed", key, "", FINAL),
    ]
    assert await _told(db, foreign) == {"unmatched": 5}
    assert (await _only(db)).state == "sent"


async def test_what_is_known_of_a_reply_goes_with_it(db: Database) -> None:
    await answered(db)
    await outbox.deliver_due(db, TELLS, _Lossy().send)
    assert len(await rows(db, sent_parts)) == 1
    await db.write(lambda connection: connection.execute(outbox_table.delete()))
    assert await rows(db, sent_parts) == []


@pytest.mark.parametrize("part", [1, 2, 17])
def test_a_mark_is_read_back(part: int) -> None:
    assert read_mark(part_mark("aZ-_9", part)) == ("aZ-_9", part)


@pytest.mark.parametrize("mark", ["", ":", "k:", "k:1", "k:0", "k:-2", "k:x", "k:²", "k:2:3", "k:99999999999999999999"])
def test_anything_else_is_no_mark(mark: str) -> None:
    assert read_mark(mark)[0] == ""


ACTS = st.sampled_from(["take", "killed before", "killed after", "answer lost", "no line", "taken, and 500", 503, 429])


async def _story(channels: outbox.Channels, texts: list[str], platform: _Lossy, told_at: set[int]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        url, clock = f"sqlite:///{folder}/x.db", Clock()
        db = await Database.open(url)
        await answered(db, text="\n".join(texts))
        for step in range(60):
            try:
                await outbox.deliver_due(db, channels, platform.send, clock=clock)
            except Killed:
                await db.close()
                db = await Database.open(url)
                if step in told_at:
                    await _told(db, platform.tells())
                await outbox.recover(db)
            if step in told_at:
                await _told(db, platform.tells())
            clock.advance(50_000)
            if (await _only(db)).state not in ("planned", "sending"):
                break
        row = await _only(db)
        if told_at:
            await _told(db, platform.tells())
            await outbox.deliver_due(db, channels, platform.send, clock=clock)
            row = await _only(db)
        await db.close()
        return row


HARD = settings(max_examples=60)


@HARD
@example(parts=2, script=["killed after", "take", "killed after"])
@given(parts=st.integers(1, 3), script=st.lists(ACTS, max_size=9))
def test_on_a_platform_that_can_be_asked_nothing_is_lost_and_nothing_doubled(
    parts: int, script: list[str | int]
) -> None:
    texts = [f"part {number}" for number in range(parts)]
    platform = _Lossy(list(script))
    row = asyncio.run(_story(ASKED, texts, platform, set()))
    assert len(platform.taken) == len(set(platform.taken)), "doubled"
    # Eight attempts are made; a script that uses them up ends the reply, and says so.
    if row.state == "sent":
        assert platform.taken == texts
    else:
        assert row.attempts == 8


@HARD
@given(
    parts=st.integers(1, 3),
    script=st.lists(ACTS.filter(lambda act: act != "taken, and 500"), max_size=9),
    told_at=st.sets(st.integers(0, 8), min_size=1),
)
def test_on_a_platform_that_tells_nothing_is_doubled_and_what_is_unknown_is_what_was_not_taken(
    parts: int, script: list[str | int], told_at: set[int]
) -> None:
    texts = [f"part {number}" for number in range(parts)]
    platform = _Lossy(list(script))
    row = asyncio.run(_story(TELLS, texts, platform, told_at))
    assert platform.taken == sorted(set(platform.taken)), "doubled, or out of order"
    if row.state == "sent":
        assert platform.taken == texts
    if row.state == "unknown":
        missing = [text for text, one in zip(texts, row.provider_ids, strict=True) if one == receipts.UNKNOWN]
        assert missing == [text for text in texts if text not in platform.taken]
        assert missing
