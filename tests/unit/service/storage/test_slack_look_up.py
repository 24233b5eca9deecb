"""Whatever breaks off, whenever: Slack is asked what it has, and has each part of a reply once."""

from __future__ import annotations

import asyncio

import pytest

from service.conversation import inbox
from service.conversation import store as conversations
from service.delivery.outbox import OutboxItem, deliver_due, recover
from service.storage.database import Database
from service.storage.tables import outbox
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

TEXT = " ".join(f"Sentence number {number} holds a few words." for number in range(180))


@pytest.mark.parametrize("thread", [True, False], ids=["thread", "direct message"])
@pytest.mark.parametrize("way", BREAKS)
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_each_part_is_there_once_whatever_breaks(db: Database, way: str, at: int, *, thread: bool) -> None:
    reply_to = {"channel": "C1", "asked": "1.2"} | ({"thread_ts": "1.1"} if thread else {})
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    item = OutboxItem("slack", "main", "T1", reply_to, TEXT, ())
    await conversations.finish(db, turn.id, reply(TEXT), outbox=item, handoff=None)
    slack, clock = BreakingSlack(at, way), Clock()
    channels = {("slack", "main"): slack_channel()}
    for _ in range(12):
        try:
            await deliver_due(db, channels, slack.send, clock=clock)
        except (Killed, BaseExceptionGroup):
            await asyncio.sleep(0)
        await recover(db)
        clock.advance(40_000)
    (row,) = await rows(db, outbox)
    assert row.state == "sent"
    assert len(slack.texts) == 3
    assert " ".join(slack.texts) == TEXT
