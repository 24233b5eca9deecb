from __future__ import annotations

from typing import Literal

import pytest

from service.bindings import unbound
from service.conversation import feedback
from service.errors import ConversationUnknown
from service.storage.database import Database
from service.storage.tables import conversations, unbound_events
from service.storage.tables import feedback as feedback_table
from tests.unit.service.storage.support import answered, rows


async def test_the_latest_thumb_counts_and_can_be_taken_back(db: Database) -> None:
    turn = await answered(db)
    conversation = (await rows(db, conversations))[0].id
    values: list[Literal["up", "down"]] = ["up", "down", "down"]
    for value in values:
        await feedback.set_feedback(db, turn, value, conversation_id=conversation)
    assert [(row.turn_id, row.value) for row in await rows(db, feedback_table)] == [(turn, "down")]
    await feedback.set_feedback(db, turn, None, conversation_id=conversation)
    assert await rows(db, feedback_table) == []


@pytest.mark.parametrize("turn", ["mine", "nothing"])
async def test_nobody_rates_turns_of_other_conversations(db: Database, turn: str) -> None:
    mine = await answered(db)
    with pytest.raises(ConversationUnknown):
        await feedback.set_feedback(db, mine if turn == "mine" else turn, "down", conversation_id="another")
    assert await rows(db, feedback_table) == []


async def test_an_event_of_nobody_is_kept_and_counted(db: Database) -> None:
    await unbound.keep(db, channel="slack", app="main", account="T9\ud800", reason="no brand", payload=b"{\x00\xff}")
    (row,) = await rows(db, unbound_events)
    assert (row.channel, row.app, row.account, row.payload) == ("slack", "main", "T9?", "{\ufffd}")
    assert await unbound.count(db) == 1


async def test_events_of_nobody_cannot_fill_the_disk(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unbound, "MAX_KEPT", 3)
    for number in range(5):
        payload = b"%d" % number + b"x" * (unbound.MAX_CHARS + 5)
        await unbound.keep(db, channel="slack", app="main", account="T9", reason="no brand", payload=payload)
    kept = await rows(db, unbound_events)
    assert [row.payload[0] for row in kept] == ["2", "3", "4"]
    assert {len(row.payload) for row in kept} == {unbound.MAX_CHARS}
