from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Capabilities, Channel, OutboundReply, Rate, Request, Template
from channels.errors import DeliveryFailed
from service.delivery import outbox
from service.delivery.pace import Pace
from service.delivery.schedule import JITTER, LONGEST_S, SCHEDULE_S
from service.delivery.stuck import send_again, stuck
from service.errors import StorageUnavailable
from service.storage.database import Database, now
from service.storage.tables import inbox as inbox_table
from service.storage.tables import outbox as outbox_table
from tests.patience import PATIENCE_S
from tests.unit.service.storage.support import BRAND, CHANNELS, Clock, Killed, LinesChannel, Platform, answered, rows


async def _only(db: Database) -> Any:
    (row,) = await rows(db, outbox_table)
    return row


async def test_a_reply_is_sent_once_with_its_receipt_kept(db: Database) -> None:
    await answered(db, text="one\ntwo\nthree")
    platform = Platform()
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["sent"] == 1
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["sent"] == 0
    assert platform.taken == ["one", "two", "three"]
    row = await _only(db)
    assert (row.state, row.provider_ids, row.attempts) == ("sent", ["id-one", "id-two", "id-three"], 1)
    assert await outbox.counts(db) == {"sent": 1}


async def test_what_failed_comes_again_by_the_schedule_and_then_no_more(db: Database) -> None:
    await answered(db)
    platform, clock = Platform(script=[503] * 100), Clock()
    for number, wait_s in enumerate(SCHEDULE_S, start=1):
        assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["put_off"] == 1
        row = await _only(db)
        waits = (row.next_attempt_at - clock()).total_seconds()
        assert wait_s <= waits <= wait_s * (1 + JITTER)
        assert (row.state, row.attempts, row.last_error) == ("planned", number, "status 503")
        clock.advance(wait_s - 1)
        assert sum((await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)).values()) == 0
        clock.advance(waits - wait_s + 1.001)
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["failed"] == 1
    clock.advance(1e7)
    assert sum((await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)).values()) == 0
    assert len(platform.script) == 100 - len(SCHEDULE_S) - 1


async def test_a_platform_that_asks_to_wait_is_not_called_before(db: Database) -> None:
    await answered(db)
    platform, clock = Platform(script=[429], retry_after="77"), Clock()
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
    clock.advance(76.9)
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["sent"] == 0
    clock.advance(77 * JITTER + 0.2)
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one"]


async def test_what_was_planned_before_the_clock_went_back_goes_out_at_once(db: Database) -> None:
    await answered(db)
    platform, clock = Platform(), Clock(now() - timedelta(minutes=10))
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["sent"] == 1


@pytest.mark.parametrize("retry_after", [None, "1e9"])
async def test_no_clock_that_goes_back_far_delays_a_second_try_by_more_than_the_longest_pause(
    db: Database, retry_after: str | None
) -> None:
    await answered(db)
    platform, clock = Platform(script=[429], retry_after=retry_after), Clock()
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["put_off"] == 1
    assert sum((await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)).values()) == 0
    assert ((await _only(db)).next_attempt_at - clock()).total_seconds() <= LONGEST_S
    clock.advance(-LONGEST_S)
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock))["sent"] == 1


async def test_what_the_platform_refuses_for_good_is_not_tried_again(db: Database) -> None:
    await answered(db)
    platform = Platform(script=[400])
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["failed"] == 1
    assert (await _only(db)).last_error == "status 400"


class _PushesToo(LinesChannel):
    """Sends each line as an answer, or else as a push."""

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        def request(text: str, otherwise: Request | None = None) -> Request:
            return Request("POST", "https://platform.test", {}, {"text": text}, otherwise=otherwise)

        return [request(line, request(f"push of {line}")) for line in outbound.text.split("\n")]


PUSHES_TOO = {("slack", "main"): cast("Channel", _PushesToo())}


async def test_what_is_refused_for_good_goes_out_otherwise_and_the_next_part_as_ever(db: Database) -> None:
    await answered(db, text="one\ntwo")
    platform = Platform(script=[400])
    assert (await outbox.deliver_due(db, PUSHES_TOO, platform.send))["sent"] == 1
    assert platform.taken == ["push of one", "two"]
    row = await _only(db)
    assert (row.state, row.provider_ids, row.attempts) == ("sent", ["id-push of one", "id-two"], 1)


async def test_what_may_still_be_taken_does_not_go_out_otherwise(db: Database) -> None:
    await answered(db)
    platform, clock = Platform(script=[503, 429, "no line"]), Clock()
    for _ in range(3):
        assert (await outbox.deliver_due(db, PUSHES_TOO, platform.send, clock=clock))["put_off"] == 1
        clock.advance(400)
    assert (await outbox.deliver_due(db, PUSHES_TOO, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one"]


async def test_what_goes_out_otherwise_is_tried_again_by_the_schedule(db: Database) -> None:
    await answered(db)
    platform, clock = Platform(script=[400, 503, 400]), Clock()
    assert (await outbox.deliver_due(db, PUSHES_TOO, platform.send, clock=clock))["put_off"] == 1
    clock.advance(60)
    assert (await outbox.deliver_due(db, PUSHES_TOO, platform.send, clock=clock))["sent"] == 1
    assert (platform.taken, platform.script) == (["push of one"], [])


@pytest.mark.parametrize(("second", "state"), [(400, "failed"), ("answer lost", "unknown")])
async def test_what_is_refused_or_lost_otherwise_is_over(db: Database, second: str | int, state: str) -> None:
    await answered(db)
    platform = Platform(script=[400, second])
    assert (await outbox.deliver_due(db, PUSHES_TOO, platform.send))[state] == 1
    assert sum((await outbox.deliver_due(db, PUSHES_TOO, platform.send, clock=Clock())).values()) == 0
    assert platform.script == []


class _OneTimeToken(LinesChannel):
    """Answers with a token that is good for one call; another way is open where it is refused."""

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        push = Request("POST", "https://platform.test", {}, {"text": "push"}, repeatable=True)
        return [Request("POST", "https://platform.test", {}, {"text": "one"}, repeatable=True, otherwise=push)]


ONE_TIME = {("slack", "main"): cast("Channel", _OneTimeToken())}


@pytest.mark.parametrize(
    ("script", "state", "taken"),
    [
        pytest.param([400], "sent", ["push"], id="expired"),
        pytest.param([503, "take"], "sent", ["one"], id="failed on their side"),
        pytest.param(["taken, and 500", 400], "unknown", ["one"], id="taken, and its token is used"),
        pytest.param(["answer lost", 400], "unknown", ["one"], id="taken, and the line broke"),
        pytest.param([503, 400], "unknown", [], id="not taken, and expired meanwhile"),
        pytest.param([429, 400], "sent", ["push"], id="too many, surely not taken"),
        pytest.param(["no line", 400], "sent", ["push"], id="never reached"),
        pytest.param([503, "no line", 400], "unknown", [], id="doubt outlives a broken line"),
        pytest.param(["taken, and 500", 429, 400], "unknown", ["one"], id="doubt outlives a busy platform"),
        pytest.param(["killed after", 400], "unknown", ["one"], id="taken, and the gateway died"),
        pytest.param(["killed before", "take"], "sent", ["one"], id="the gateway died before"),
    ],
)
async def test_after_a_call_that_may_have_been_taken_nothing_goes_out_otherwise(
    db: Database, script: list[str | int], state: str, taken: list[str]
) -> None:
    await answered(db)
    platform, clock = Platform(script=list(script)), Clock()
    for _ in range(len(script)):
        try:
            await outbox.deliver_due(db, ONE_TIME, platform.send, clock=clock)
        except Killed:
            await outbox.recover(db)
        clock.advance(1000)
    assert ((await _only(db)).state, platform.taken, platform.script) == (state, taken, [])


class _Windowed(LinesChannel):
    """Takes free text for an hour, and then what its template says."""

    capabilities = Capabilities(max_text_chars=100, ack_deadline_s=3.0, window_s=3600.0)

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        assert outbound.since_heard_s is not None
        if outbound.since_heard_s <= 3600.0:
            return super().render(outbound)
        if outbound.template is None:
            raise DeliveryFailed("too late", retryable=False)
        return [Request("POST", "https://platform.test", {}, {"text": outbound.template.name})]


@pytest.mark.parametrize("template", [None, Template("late_answer", "en")])
async def test_a_reply_that_waited_too_long_goes_out_as_the_platform_lets_it(
    db: Database, template: Template | None
) -> None:
    await answered(db)
    windowed, platform, clock = {("slack", "main"): cast("Channel", _Windowed())}, Platform(script=[503]), Clock()
    templates = {("slack", "main", "T1"): template} if template else {}
    await outbox.deliver_due(db, windowed, platform.send, clock=clock, templates=templates)
    clock.advance(3600)
    await outbox.deliver_due(db, windowed, platform.send, clock=clock, templates=templates)
    row = await _only(db)
    assert (row.state, platform.taken) == (("sent", ["late_answer"]) if template else ("failed", []))
    assert row.last_error == ("status 503" if template else "too late")


async def test_a_later_message_of_the_person_opens_the_window_again(db: Database) -> None:
    await answered(db)
    clock = Clock()
    clock.advance(7200)
    await db.write(lambda connection: connection.execute(inbox_table.update().values(received_at=clock())))
    windowed, platform = {("slack", "main"): cast("Channel", _Windowed())}, Platform()
    assert (await outbox.deliver_due(db, windowed, platform.send, clock=clock))["sent"] == 1
    assert platform.taken == ["one"]


async def test_a_platforms_rate_is_kept_and_waiting_for_it_is_no_attempt(db: Database) -> None:
    class Slow(LinesChannel):
        capabilities = Capabilities(max_text_chars=100, ack_deadline_s=3.0, rates=(Rate(0.1, burst=2),))

    for number in range(3):
        await answered(db, key=f"k{number}", text="a\nb")
    clock, platform = Clock(), Platform()
    slow, pace = {("slack", "main"): cast("Channel", Slow())}, Pace(clock=lambda: clock().timestamp())
    sent_at: list[float] = []
    began = clock().timestamp()
    while (await outbox.counts(db)).get("sent", 0) < 3:
        before = len(platform.taken)
        await outbox.deliver_due(db, slow, platform.send, clock=clock, pace=pace)
        sent_at += [clock().timestamp() - began] * (len(platform.taken) - before)
        clock.advance(1)
    assert len(sent_at) == 6
    assert all(later - sooner >= 10 for sooner, later in pairwise(sent_at[1:]))
    assert sent_at[-1] <= 45
    assert {row.attempts for row in await rows(db, outbox_table)} == {1}


async def test_parts_already_sent_are_not_sent_again_after_a_failure(db: Database) -> None:
    await answered(db, text="one\ntwo\nthree")
    platform, clock = Platform(script=["take", 500]), Clock()
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
    clock.advance(60)
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
    assert platform.taken == ["one", "two", "three"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(TimeoutError(), id="silent"),
        pytest.param(ConnectionResetError(104, "reset"), id="reset"),
        pytest.param(aiohttp.ServerDisconnectedError(), id="closed"),
        pytest.param(aiohttp.SocketTimeoutError(), id="read timeout"),
        pytest.param(aiohttp.ClientPayloadError("half an answer"), id="half an answer"),
    ],
)
async def test_a_lost_answer_is_counted_as_unknown_and_never_sent_again(db: Database, error: Exception) -> None:
    await answered(db)
    calls = []

    async def send(request: Request) -> tuple[int, dict[str, str], bytes]:
        calls.append(request)
        raise error

    assert (await outbox.deliver_due(db, CHANNELS, send))["unknown"] == 1
    assert sum((await outbox.deliver_due(db, CHANNELS, send, clock=Clock())).values()) == 0
    assert await outbox.counts(db) == {"unknown": 1}
    assert len(calls) == 1


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "refused"), aiohttp.ConnectionTimeoutError()])
async def test_a_platform_that_was_never_reached_is_tried_again(db: Database, error: Exception) -> None:
    await answered(db)

    async def send(_: Request) -> tuple[int, dict[str, str], bytes]:
        raise error

    assert (await outbox.deliver_due(db, CHANNELS, send))["put_off"] == 1
    assert (await outbox.deliver_due(db, CHANNELS, Platform().send, clock=Clock()))["sent"] == 1


@pytest.mark.parametrize("moment", ["killed before", "killed after"])
async def test_after_a_crash_only_the_part_in_flight_is_unknown(db: Database, url: str, moment: str) -> None:
    await answered(db, text="one\ntwo\nthree")
    platform = Platform(script=["take", moment])
    with pytest.raises(Killed):
        await outbox.deliver_due(db, CHANNELS, platform.send)
    await db.close()
    again = await Database.open(url)
    assert await outbox.recover(again) == 1
    assert (await outbox.deliver_due(again, CHANNELS, platform.send))["unknown"] == 1
    assert [text for text in platform.taken if text != "two"] == ["one", "three"]
    assert platform.taken.count("two") == (moment == "killed after")
    row = await _only(again)
    assert (row.state, row.provider_ids) == ("unknown", ["id-one", outbox.UNKNOWN, "id-three"])
    await again.close()


class _Edits(LinesChannel):
    """Sends each line as a call that shows once, however often it is made."""

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        return [replace(one, repeatable=True) for one in super().render(outbound)]


EDITS = {("slack", "main"): cast("Channel", _Edits())}


@pytest.mark.parametrize("moment", ["killed before", "killed after"])
async def test_after_a_crash_a_call_that_shows_once_is_made_again(db: Database, url: str, moment: str) -> None:
    await answered(db, text="one\ntwo\nthree")
    platform = Platform(script=["take", moment])
    with pytest.raises(Killed):
        await outbox.deliver_due(db, EDITS, platform.send)
    await db.close()
    again = await Database.open(url)
    assert await outbox.recover(again) == 1
    assert (await outbox.deliver_due(again, EDITS, platform.send))["sent"] == 1
    assert list(dict.fromkeys(platform.taken)) == ["one", "two", "three"]
    row = await _only(again)
    assert (row.state, row.provider_ids) == ("sent", ["id-one", "id-two", "id-three"])
    await again.close()


@pytest.mark.parametrize("lost", ["answer lost", "line cut"])
async def test_a_call_that_shows_once_is_made_again_when_its_answer_was_lost(db: Database, lost: str) -> None:
    await answered(db)
    platform, clock = Platform(script=[lost]), Clock()
    assert (await outbox.deliver_due(db, EDITS, platform.send, clock=clock))["put_off"] == 1
    clock.advance(60)
    assert (await outbox.deliver_due(db, EDITS, platform.send, clock=clock))["sent"] == 1


async def test_replies_of_a_conversation_arrive_in_order(db: Database) -> None:
    await answered(db, key="a", text="a1")
    await answered(db, key="a", text="a2")
    await answered(db, key="b", text="b1")
    platform, clock = Platform(script=[500]), Clock()
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
    assert platform.taken in (["b1"], ["a1", "a2"])
    clock.advance(60)
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
    assert [text for text in platform.taken if text.startswith("a")] == ["a1", "a2"]
    assert "b1" in platform.taken


async def test_a_reply_that_keeps_failing_does_not_hold_up_the_next_for_long(db: Database) -> None:
    await answered(db, text="poison")
    await answered(db, text="fine")
    clock, taken = Clock(), []

    async def send(request: Request) -> tuple[int, dict[str, str], bytes]:
        if request.fields["text"] == "poison":
            return 500, {}, b""
        taken.append(request.fields["text"])
        return 200, {}, b"id"

    for _ in range(outbox.IN_ORDER_ATTEMPTS):
        await outbox.deliver_due(db, CHANNELS, send, clock=clock)
        assert taken == []
        clock.advance(400)
    await outbox.deliver_due(db, CHANNELS, send, clock=clock)
    assert taken == ["fine"]


async def test_a_reply_that_cannot_be_rendered_harms_no_other(db: Database) -> None:
    await answered(db, key="a", text="cannot be rendered")
    await answered(db, key="b", text="fine")
    platform = Platform()
    result = await outbox.deliver_due(db, CHANNELS, platform.send)
    assert (result["failed"], result["sent"]) == (1, 1)
    assert platform.taken == ["fine"]


async def test_a_reply_that_comes_too_late_fails_for_good_with_the_channels_own_reason(db: Database) -> None:
    await answered(db, text="too late")
    assert (await outbox.deliver_due(db, CHANNELS, Platform().send))["failed"] == 1
    assert (await _only(db)).last_error == "too late"


async def test_replies_of_an_app_that_is_off_wait_for_it(db: Database) -> None:
    await answered(db)
    assert (await outbox.deliver_due(db, {}, Platform().send))["put_off"] == 1
    assert (await outbox.deliver_due(db, CHANNELS, Platform().send, clock=Clock()))["sent"] == 1


async def test_many_replies_are_sent_in_one_call_side_by_side(db: Database) -> None:
    for number in range(outbox.BATCH + 3):
        await answered(db, key=f"k{number}", text=f"t{number}")
    running = most = 0
    beside = asyncio.Event()

    async def send(_: Request) -> tuple[int, dict[str, str], bytes]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running > 1:
            beside.set()
        await asyncio.wait_for(beside.wait(), PATIENCE_S)
        running -= 1
        return 200, {}, b"id"

    assert (await outbox.deliver_due(db, CHANNELS, send))["sent"] == outbox.BATCH + 3
    assert 1 < most <= outbox.BATCH


async def test_two_workers_never_send_the_same_part(db: Database) -> None:
    for number in range(5):
        await answered(db, key=f"k{number}", text=f"{number}a\n{number}b")
    platform = Platform()
    await asyncio.gather(*(outbox.deliver_due(db, CHANNELS, platform.send) for _ in range(3)))
    assert sorted(platform.taken) == sorted(f"{number}{part}" for number in range(5) for part in "ab")


async def test_an_orderly_stop_waits_for_the_call_on_its_way(db: Database) -> None:
    await answered(db, text="one\ntwo")
    on_its_way, go_on, taken = asyncio.Event(), asyncio.Event(), []

    async def send(request: Request) -> tuple[int, dict[str, str], bytes]:
        on_its_way.set()
        await go_on.wait()
        taken.append(request.fields["text"])
        return 200, {}, b"id"

    task = asyncio.create_task(outbox.deliver_due(db, CHANNELS, send))
    await asyncio.wait_for(on_its_way.wait(), PATIENCE_S)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert taken == ["one"]
    assert await outbox.recover(db) == 0
    await outbox.deliver_due(db, CHANNELS, send)
    assert taken == ["one", "two"]


async def test_a_result_that_could_not_be_recorded_is_recorded_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answered(db)
    monkeypatch.setattr(outbox, "RECORD_AGAIN_S", 0.01)
    flaky = _FullDisk(db)

    async def send(_: Request) -> tuple[int, dict[str, str], bytes]:
        flaky.full_for = 3
        return 200, {}, b"id"

    assert (await outbox.deliver_due(flaky, CHANNELS, send))["sent"] == 1
    assert flaky.full_for == 0
    assert (await _only(db)).state == "sent"


class _FullDisk(Database):
    """The same database, whose disk is full for the next writes."""

    def __init__(self, db: Database) -> None:
        super().__init__(db._runner)
        self.full_for = 0

    async def write(self, work: Any, **how: bool) -> Any:
        if self.full_for:
            self.full_for -= 1
            raise StorageUnavailable("disk full")
        return await super().write(work, **how)


@settings(max_examples=25)
@given(
    parts=st.integers(1, 4),
    script=st.lists(
        st.sampled_from(["take", 500, 429, "no line", "answer lost", "line cut", "killed before", "killed after"]),
        max_size=12,
    ),
)
def test_no_part_is_ever_sent_twice_or_out_of_order(parts: int, script: list[str | int]) -> None:
    texts = [f"part {number}" for number in range(parts)]
    platform = Platform(script=list(script))

    async def story(folder: str) -> str:
        url = f"sqlite:///{folder}/x.db"
        db, clock = await Database.open(url), Clock()
        await answered(db, text="\n".join(texts))
        for _ in range(60):
            try:
                await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
            except Killed:
                await db.close()
                db = await Database.open(url)
                await outbox.recover(db)
            clock.advance(50_000)
            if (state := (await _only(db)).state) not in ("planned", "sending"):
                break
        await db.close()
        return str(state)

    with tempfile.TemporaryDirectory() as folder:
        state = asyncio.run(story(folder))
    assert platform.taken == sorted(set(platform.taken))
    if state == "sent":
        assert platform.taken == texts
    if state == "unknown":
        assert {"answer lost", "line cut", "killed before", "killed after"} & set(script)
    assert state in ("sent", "unknown", "failed")


async def test_what_was_given_up_is_listed_and_sent_again_when_somebody_says_so(db: Database) -> None:
    turn = await answered(db, text="one\ntwo\nthree")
    platform = Platform(script=["take", 400])
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["failed"] == 1
    (found,) = await stuck(db)
    assert (found.turn, found.state, found.brand, found.reason) == (turn, "failed", BRAND, "status 400")
    assert await send_again(db, [found.id, "nobody's"]) == [found.id]
    assert await stuck(db) == []
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["sent"] == 1
    assert platform.taken == ["one", "two", "three"], "what had arrived is not sent twice"
    assert await send_again(db, [found.id]) == [], "what was sent stays sent"


async def test_a_part_that_may_have_arrived_is_sent_again_only_when_somebody_says_so(db: Database) -> None:
    await answered(db, text="one\ntwo\nthree")
    platform = Platform(script=["take", "answer lost"])
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["unknown"] == 1
    (found,) = await stuck(db)
    assert found.state == "unknown"
    before = list(platform.taken)
    await send_again(db, [found.id])
    assert (await outbox.deliver_due(db, CHANNELS, platform.send))["sent"] == 1
    assert platform.taken == [*before, "two"], "what arrived after it is not said twice"
