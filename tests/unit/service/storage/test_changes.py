"""Messages that people change or take back, and thumbs on answers."""

from __future__ import annotations

import pytest

from channels.base import Edit, Reaction
from service.conversation import changes, inbox
from service.conversation import store as conversations
from service.conversation.store import transcript
from service.delivery import outbox
from service.storage.database import Database
from service.storage.tables import feedback, turns
from tests.unit.service.storage.support import BRAND, CHANNELS, Platform, answered, item, message, reply, rows


async def _heard(db: Database, *texts: str) -> str:
    accepted = [
        await inbox.accept(db, BRAND, message(f"m{number}", text)) for number, text in enumerate(texts, start=1)
    ]
    return accepted[0].conversation_id


async def _edit(db: Database, message_id: str, text: str | None, account: str = "T1") -> tuple[list[str], int]:
    return await changes.take_edits(db, "slack", [Edit(account, message_id, text)])


async def test_an_edit_before_the_turn_begins_changes_the_question(db: Database) -> None:
    conversation = await _heard(db, "Ship to Frnace?", "And when?")
    assert await _edit(db, "m1", "Ship to France?") == ([conversation], 0)
    turn = await inbox.next_turn(db, conversation)
    assert turn is not None
    assert turn.question == "Ship to France?\nAnd when?"


async def test_a_message_taken_back_is_not_answered_and_its_repeat_is_no_news(db: Database) -> None:
    conversation = await _heard(db, "Ship to France?")
    assert await _edit(db, "m1", None) == ([conversation], 0)
    assert await inbox.next_turn(db, conversation) is None
    assert await inbox.unfinished(db) == []
    assert await inbox.count_waiting(db) == 0
    assert (await transcript(db, conversation))[0] == []
    assert (await inbox.accept(db, BRAND, message("m1", "Ship to France?"))).duplicate
    assert await inbox.next_turn(db, conversation) is None


async def test_an_edit_while_the_turn_runs_changes_what_it_begins_anew_with(db: Database) -> None:
    conversation = await _heard(db, "Ship to Frnace?", "And when?")
    begun = await inbox.next_turn(db, conversation)
    assert begun is not None
    assert await _edit(db, "m1", "Ship to France?") == ([conversation], 0)
    assert await _edit(db, "m2", None) == ([conversation], 0)
    anew = await inbox.next_turn(db, conversation)
    assert anew is not None
    assert (anew.id, anew.question) == (begun.id, "Ship to France?")
    (row,) = await rows(db, turns)
    assert (row.state, row.question) == ("running", "Ship to France?")


async def test_a_turn_of_which_nothing_is_left_ends_and_its_answer_is_not_sent(db: Database) -> None:
    conversation = await _heard(db, "Ship to France?")
    turn = await inbox.next_turn(db, conversation)
    assert turn is not None
    await _edit(db, "m1", None)
    assert await inbox.next_turn(db, conversation) is None
    assert await inbox.unfinished(db) == []
    # The engine was quicker than the cancellation.
    await conversations.finish(db, turn.id, reply(), outbox=item(), handoff=None)
    assert await outbox.counts(db) == {}
    (row,) = await rows(db, turns)
    assert (row.state, row.text) == ("withdrawn", "")


async def test_what_is_answered_stays_as_it_was_answered(db: Database) -> None:
    conversation = await _heard(db, "Ship to France?")
    turn = await inbox.next_turn(db, conversation)
    assert turn is not None
    await conversations.finish(db, turn.id, reply(), outbox=item(), handoff=None)
    assert await _edit(db, "m1", "Ship to Spain?") == ([], 1)
    assert await _edit(db, "m1", None) == ([], 1)
    (row,) = await rows(db, turns)
    assert (row.state, row.question) == ("done", "Ship to France?")


@pytest.mark.parametrize(("message_id", "account"), [("m2", "T1"), ("m1", "T2")])
async def test_an_edit_of_no_message_we_know_changes_nothing(db: Database, message_id: str, account: str) -> None:
    conversation = await _heard(db, "Ship to France?")
    assert await _edit(db, message_id, "Hm?", account) == ([], 1)
    turn = await inbox.next_turn(db, conversation)
    assert turn is not None
    assert turn.question == "Ship to France?"


async def test_a_thumb_on_any_part_of_a_reply_is_feedback_on_its_turn(db: Database) -> None:
    turn = await answered(db, text="one\ntwo")
    await outbox.deliver_due(db, CHANNELS, Platform().send)

    async def react(message_id: str, value: str | None, app: str = "main") -> list[str | None]:
        return await changes.take_reactions(db, "slack", app, [Reaction("T1", message_id, value)])  # type: ignore[arg-type]

    assert await react("id-two", "up") == [BRAND]
    assert [(row.turn_id, row.value) for row in await rows(db, feedback)] == [(turn, "up")]
    assert await react("id-one", "down") == [BRAND]
    assert [row.value for row in await rows(db, feedback)] == ["down"]
    assert await react("id-three", "up") == [None]
    assert await react("id-one", "up", app="other") == [None]
    assert [row.value for row in await rows(db, feedback)] == ["down"]
    assert await react("id-one", None) == [BRAND]
    assert await rows(db, feedback) == []
