"""A reply that is shown while it grows: one whole message in the end, or none, wherever it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from sqlalchemy import update

from channels.base import Channel, Request
from service.conversation import inbox
from service.conversation import store as conversations
from service.delivery.growing import Growing, Growth, Place
from service.delivery.outbox import OutboxItem, as_it_is, deliver_due, recover
from service.storage.database import Database
from service.storage.tables import outbox, turns
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import (
    BRAND,
    BREAKS,
    BreakingSlack,
    Clock,
    Killed,
    message,
    reply,
    rows,
    slack_channel,
)

LONG = " ".join(f"Sentence number {number} holds a few words." for number in range(100))
REPLY_TO = {"channel": "C1", "thread_ts": "1.1", "asked": "1.2"}
Ending = Literal["whole", "long", "withdrawn"]


class Slack(BreakingSlack):
    @property
    def methods(self) -> list[str]:
        return [call.url.rpartition("/")[2] for call in self.calls]


def app() -> Mapping[tuple[str, str], Channel]:
    built: Any = slack_channel()
    built.grow_every_s = 0.0
    return {("slack", "main"): built}


async def settle(growth: Growth) -> None:
    """Until what was said is shown, and the next is waited for, or growing stopped."""

    def waits() -> bool:
        return not growth._news.is_set() and bool(growth._news._waiters)  # type: ignore[attr-defined]

    def grows() -> bool:
        return any(task.get_name() == "growing" for task in asyncio.all_tasks())

    await until(lambda: waits() or not grows())


async def a_life(db: Database, slack: Slack, conversation: str, ending: Ending) -> bool:
    """What a gateway does until it is killed, which is told by False, or all is done."""
    slack.killed = False
    await recover(db)
    channels = app()
    turn = await inbox.next_turn(db, conversation)
    if turn is not None:
        growing = Growing(db, channels, slack.send, ready=as_it_is, patience_s=0.0)
        async with growing.shown(Place(turn.id, "slack", "main", "T1", REPLY_TO)) as growth:
            for text in ("First.", "First. Second."):
                growth.say(text)
                await settle(growth)
                if slack.killed:
                    break
        if slack.killed:
            return False
        if ending == "withdrawn":
            gone = update(turns).where(turns.c.id == turn.id).values(state="withdrawn")
            await db.write(lambda connection: connection.execute(gone))
        else:
            text = LONG if ending == "long" else "First. Second. Third."
            item = OutboxItem("slack", "main", "T1", REPLY_TO, text, ())
            await conversations.finish(db, turn.id, reply(text), outbox=item, handoff=None)
    clock = Clock()
    for _ in range(10):
        try:
            await deliver_due(db, channels, slack.send, clock=clock)
        except Killed:
            return False
        clock.advance(40_000)
    return True


@pytest.mark.parametrize("ending", ["whole", "long", "withdrawn"])
@pytest.mark.parametrize("way", ["nothing", *BREAKS])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_in_the_end_the_whole_is_there_once(db: Database, at: int, way: str, ending: Ending) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    slack = Slack(at, way)
    for _ in range(3):
        if await a_life(db, slack, accepted.conversation_id, ending):
            break
    shown = slack.slack.shown("C1")
    if ending == "withdrawn":
        assert shown == []
    else:
        assert " ".join(shown) == (LONG if ending == "long" else "First. Second. Third.")
        assert len(shown) == (2 if ending == "long" else 1)
    assert {row.state for row in await rows(db, outbox)} <= {"sent"}


async def test_it_grows_and_ends_as_an_edit(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    slack = Slack()
    assert await a_life(db, slack, accepted.conversation_id, "whole")
    assert slack.methods == ["chat.postMessage", "chat.update", "chat.update"]
    assert [call.fields["text"] for call in slack.calls] == ["First. …", "First. Second. …", "First. Second. Third."]
    # Who reads along, such as `channel simulate`, is shown the whole alone.
    assert slack.texts == ["First. Second. Third."]
    assert all(slack.slack.is_for(call, REPLY_TO) for call in slack.calls)


async def test_what_is_whole_in_time_is_one_message_that_was_never_edited(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    slack = Slack()
    growing = Growing(db, app(), slack.send, ready=as_it_is, patience_s=10 * PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S), growing.shown(Place(turn.id, "slack", "main", "T1", REPLY_TO)) as growth:
        growth.say("First.")
        await asyncio.sleep(0.05)
    assert (slack.calls, await rows(db, outbox)) == ([], [])


async def test_a_beginning_that_somebody_deleted_is_posted_as_a_whole(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    slack, channels = Slack(), app()
    growing = Growing(db, channels, slack.send, ready=as_it_is, patience_s=0.0)
    async with growing.shown(Place(turn.id, "slack", "main", "T1", REPLY_TO)) as growth:
        growth.say("First.")
        await settle(growth)
    slack.slack._posted.clear()
    item = OutboxItem("slack", "main", "T1", REPLY_TO, "First. Second.", ())
    await conversations.finish(db, turn.id, reply("First. Second."), outbox=item, handoff=None)
    await deliver_due(db, channels, slack.send, clock=Clock())
    assert slack.slack.shown("C1") == ["First. Second."]


async def test_an_edit_on_its_way_is_waited_for_also_when_the_lane_is_cancelled(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    slack, on_its_way = Slack(), asyncio.Event()

    async def slow(call: Request) -> tuple[int, Mapping[str, str], bytes]:
        on_its_way.set()
        await asyncio.sleep(0.1)
        return await slack.send(call)

    growing = Growing(db, app(), slow, ready=as_it_is, patience_s=0.0)

    async def lane() -> None:
        async with growing.shown(Place(turn.id, "slack", "main", "T1", REPLY_TO)) as growth:
            growth.say("First.")
            await asyncio.sleep(60)

    task = asyncio.create_task(lane())
    await on_its_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(slack.calls) == 1
    (row,) = await rows(db, outbox)
    assert row.begun.startswith("C1:")
