from __future__ import annotations

import asyncio

import pytest

from service.conversation import inbox
from service.conversation import store as conversations
from service.storage.database import Database
from service.storage.tables import conversations as conversations_table
from service.storage.tables import inbox as inbox_table
from service.storage.tables import turns
from tests.unit.service.storage.support import BRAND, message, reply, rows


async def _turn(db: Database, conversation: str) -> inbox.PendingTurn:
    turn = await inbox.next_turn(db, conversation)
    assert turn is not None
    return turn


async def test_fifty_deliveries_of_one_message_make_one_row(db: Database) -> None:
    accepted = await asyncio.gather(*(inbox.accept(db, BRAND, message("m1")) for _ in range(50)))
    assert sorted(one.duplicate for one in accepted) == [False] + [True] * 49
    assert len({one.conversation_id for one in accepted}) == 1
    assert len(await rows(db, inbox_table)) == 1
    assert len(await rows(db, conversations_table)) == 1


async def test_a_repeat_after_the_answer_is_still_a_repeat(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await _turn(db, accepted.conversation_id)
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None)
    assert await inbox.accept(db, BRAND, message("m1")) == inbox.Accepted(accepted.conversation_id, duplicate=True)
    assert await inbox.next_turn(db, accepted.conversation_id) is None


async def test_a_repeat_under_another_thread_points_to_the_first(db: Database) -> None:
    first = await inbox.accept(db, BRAND, message("m1", key="thread-1"))
    repeat = await inbox.accept(db, BRAND, message("m1", key="thread-2"))
    assert repeat == inbox.Accepted(first.conversation_id, duplicate=True)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(message("m1", channel="whatsapp"), id="other channel"),
        pytest.param(message("m1", account="T2"), id="other account"),
        pytest.param(message("m2"), id="other id"),
    ],
)
async def test_only_channel_account_and_id_together_make_a_repeat(db: Database, other: object) -> None:
    await inbox.accept(db, BRAND, message("m1"))
    assert not (await inbox.accept(db, BRAND, other)).duplicate  # type: ignore[arg-type]


async def test_a_burst_becomes_one_question_in_its_order(db: Database) -> None:
    for number, text in enumerate(["Hi", "", "where is", "my parcel?"]):
        accepted = await inbox.accept(db, BRAND, message(f"m{number}", text))
    turn = await _turn(db, accepted.conversation_id)
    assert turn.question == "Hi\nwhere is\nmy parcel?"
    assert turn.client_ids == ("m0", "m1", "m2", "m3")
    assert turn.reply_to["message"] == "m3"
    assert (turn.brand, turn.channel, turn.account) == (BRAND, "slack", "T1")


async def test_what_comes_during_a_turn_waits_for_the_next(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1", "first"))
    turn = await _turn(db, accepted.conversation_id)
    await inbox.accept(db, BRAND, message("m2", "second"))
    assert await inbox.count_waiting(db) == 1
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None)
    following = await _turn(db, accepted.conversation_id)
    assert following.question == "second"
    await conversations.fail(db, following.id, "timeout", "Sorry.")
    assert await inbox.next_turn(db, accepted.conversation_id) is None
    assert [row.number for row in sorted(await rows(db, turns), key=lambda row: row.number)] == [1, 2]


async def test_a_turn_that_begins_anew_answers_what_came_meanwhile_too(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1", "first"))
    turn = await _turn(db, accepted.conversation_id)
    await inbox.accept(db, BRAND, message("m2", "second"))
    anew = await _turn(db, accepted.conversation_id)
    assert (anew.id, anew.taken_up) == (turn.id, True)
    assert (anew.question, anew.client_ids, anew.reply_to["message"]) == ("first\nsecond", ("m1", "m2"), "m2")
    assert await inbox.count_waiting(db) == 0
    assert [row.question for row in await rows(db, turns)] == ["first\nsecond"]


async def test_where_each_message_wants_a_reply_of_its_own_each_gets_a_turn(db: Database) -> None:
    for name in ("m1", "m2", "m3"):
        accepted = await inbox.accept(db, BRAND, message(name, name))
    asked: list[tuple[str, bool]] = []
    while turn := await inbox.next_turn(db, accepted.conversation_id, apart={"slack"}):
        assert await inbox.next_turn(db, accepted.conversation_id, apart={"slack"}) == turn, "nothing is put to it"
        asked.append((turn.question, turn.more))
        await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None)
    assert asked == [("m1", True), ("m2", True), ("m3", False)]


async def test_workers_that_race_get_the_same_turn(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    got = await asyncio.gather(*(_turn(db, accepted.conversation_id) for _ in range(10)))
    assert len({turn.id for turn in got}) == 1
    assert len(await rows(db, turns)) == 1


async def test_a_turn_that_a_crash_cut_is_taken_up_whole(db: Database, url: str) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1", "first"))
    before = await _turn(db, accepted.conversation_id)
    await inbox.accept(db, BRAND, message("m9", "elsewhere", key="thread-9"))
    await db.close()
    again = await Database.open(url)
    assert len(await inbox.unfinished(again)) == 2
    assert await inbox.next_turn(again, accepted.conversation_id) == before
    await again.close()


async def test_an_unknown_conversation_has_no_turn(db: Database) -> None:
    assert await inbox.next_turn(db, "nobody") is None


async def test_an_account_that_moves_to_another_brand_starts_anew_there(db: Database) -> None:
    first = await inbox.accept(db, "harbor", message("m1", "the secret of harbor"))
    second = await inbox.accept(db, "summit", message("m2"))
    assert first.conversation_id != second.conversation_id
    turn = await _turn(db, second.conversation_id)
    assert turn.brand == "summit"
    assert "secret" not in turn.question


async def test_text_that_no_database_can_hold_is_stored_without_it(db: Database) -> None:
    odd = message("m\ud800", "a\x00b\ud800", key="k\udfff")
    assert not (await inbox.accept(db, BRAND, odd)).duplicate
    assert (await inbox.accept(db, BRAND, odd)).duplicate
    assert (await rows(db, inbox_table))[0].text == "ab?"


@pytest.mark.parametrize("many", [100])
async def test_conversations_do_not_wait_for_each_other(db: Database, many: int) -> None:
    accepted = await asyncio.gather(*(inbox.accept(db, BRAND, message(f"m{n}", key=f"k{n}")) for n in range(many)))
    turns_ = await asyncio.gather(*(_turn(db, one.conversation_id) for one in accepted))
    assert len({turn.id for turn in turns_}) == many


async def test_two_processes_share_one_database(db: Database, url: str) -> None:
    other = await Database.open(url)
    both = [inbox.accept(one, BRAND, message(f"m{n}", key=f"k{n % 2}")) for n in range(30) for one in (db, other)]
    accepted = await asyncio.gather(*both)
    assert sum(not one.duplicate for one in accepted) == 30
    conversation = accepted[0].conversation_id
    got = await asyncio.gather(*(_turn(one, conversation) for one in (db, other) * 5))
    assert len({turn.id for turn in got}) == 1
    await other.close()
