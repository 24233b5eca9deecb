from __future__ import annotations

import pytest

from channels.base import InboundMessage
from service.conversation import feedback, inbox
from service.conversation import store as conversations
from service.conversation.store import VisitorConversation, open_visitor_conversation
from service.conversation.wire import citation_json
from service.errors import ConversationUnknown
from service.storage.database import Database
from service.storage.tables import conversations as conversations_table
from service.storage.tables import handoffs as handoffs_table
from service.storage.tables import outbox as outbox_table
from tests.unit.service.storage.support import BRAND, CITATION, item, message, reply, rows


async def _say(db: Database, visitor: VisitorConversation, client_id: str, text: str = "Returns?") -> None:
    said = InboundMessage("web", BRAND, f"{visitor.id}:{client_id}", visitor.id, visitor.id, text)
    accepted = await inbox.accept(db, BRAND, said)
    assert accepted.conversation_id == visitor.id


async def _turn(db: Database, conversation: str) -> inbox.PendingTurn:
    turn = await inbox.next_turn(db, conversation)
    assert turn is not None
    return turn


async def test_a_visitor_comes_back_to_the_same_conversation(db: Database) -> None:
    first = await open_visitor_conversation(db, BRAND, None, None)
    assert first.created
    again = await open_visitor_conversation(db, BRAND, first.id, first.visitor)
    assert again == VisitorConversation(first.id, first.visitor, created=False)


@pytest.mark.parametrize("case", ["wrong token", "no token", "unknown id", "other brand", "hash as token", "platform"])
async def test_nobody_gets_into_another_persons_conversation(db: Database, case: str) -> None:
    mine = await open_visitor_conversation(db, BRAND, None, None)
    stored = (await rows(db, conversations_table))[0]
    slack = await inbox.accept(db, BRAND, message("m1"))
    brand, conversation, token = {
        "wrong token": (BRAND, mine.id, "A" * 22),
        "no token": (BRAND, mine.id, None),
        "unknown id": (BRAND, "nobody", mine.visitor),
        "other brand": ("summit", mine.id, mine.visitor),
        "hash as token": (BRAND, mine.id, stored.visitor_hash),
        "platform": (BRAND, slack.conversation_id, mine.visitor),
    }[case]
    got = await open_visitor_conversation(db, brand, conversation, token)
    assert got.created
    assert got.id not in {mine.id, slack.conversation_id, "nobody"}


async def test_who_is_logged_in_finds_their_conversation_in_another_browser(db: Database) -> None:
    phone = await open_visitor_conversation(db, BRAND, None, None, "user-7")
    laptop = await open_visitor_conversation(db, BRAND, None, None, "user-7")
    assert (laptop.id, laptop.created) == (phone.id, False)
    assert laptop.visitor != phone.visitor
    other_brand = await open_visitor_conversation(db, "summit", phone.id, phone.visitor, "user-7")
    assert other_brand.created


async def test_what_a_visitor_said_before_they_logged_in_becomes_theirs(db: Database) -> None:
    before = await open_visitor_conversation(db, BRAND, None, None)
    await _say(db, before, "client-1")
    after = await open_visitor_conversation(db, BRAND, before.id, before.visitor, "user-7")
    assert (after.id, after.created) == (before.id, False)
    empty = await open_visitor_conversation(db, BRAND, None, None)
    again = await open_visitor_conversation(db, BRAND, empty.id, empty.visitor, "user-7")
    assert again.id == before.id, "nothing was said in the empty one: the earlier one goes on"


@pytest.mark.parametrize("identity", [None, "user-8"])
async def test_a_conversation_with_an_identity_opens_to_no_token_and_nobody_else(
    db: Database, identity: str | None
) -> None:
    mine = await open_visitor_conversation(db, BRAND, None, None)
    await _say(db, mine, "client-1")
    await open_visitor_conversation(db, BRAND, mine.id, mine.visitor, "user-7")
    next_person = await open_visitor_conversation(db, BRAND, mine.id, mine.visitor, identity)
    assert next_person.created
    assert next_person.id != mine.id


async def test_the_visitors_id_is_random_and_not_stored(db: Database) -> None:
    opened = [await open_visitor_conversation(db, BRAND, None, None) for _ in range(20)]
    assert len({one.visitor for one in opened} | {one.id for one in opened}) == 40
    assert all(len(one.visitor) >= 22 for one in opened), "128 bits are 22 characters"
    stored = " ".join(str(tuple(row)) for row in await rows(db, conversations_table))
    assert not any(one.visitor in stored for one in opened)


async def test_the_transcript_shows_what_is_done_runs_failed_and_waits(db: Database) -> None:
    visitor = await open_visitor_conversation(db, BRAND, None, None)
    await _say(db, visitor, "client-1")
    await _say(db, visitor, "client-2", "For shoes?")
    done = await _turn(db, visitor.id)
    await conversations.finish(db, done.id, reply(), outbox=None, handoff=None)
    await feedback.set_feedback(db, done.id, "up", conversation_id=visitor.id)
    await _say(db, visitor, "client-3")
    failed = await _turn(db, visitor.id)
    await conversations.fail(db, failed.id, "timeout", "Please try again.")
    await _say(db, visitor, "client-4")
    running = await _turn(db, visitor.id)
    await _say(db, visitor, "client-5", "Hello?")

    shown = [conversations.to_json(view) for view in (await conversations.transcript(db, visitor.id))[0]]

    times = [turn.pop("at") for turn in shown]
    assert times == sorted(times)
    assert all(time.endswith("+00:00") for time in times)
    blank: dict[str, object] = {
        "question": "Returns?", "files": [], "sentences": [], "text": "", "author": None, "outcome": None,
        "citations": [], "feedback": None, "error": None,
    }  # fmt: skip
    assert shown == [
        blank
        | {
            "turn": done.id,
            "client_ids": ["client-1", "client-2"],
            "question": "Returns?\nFor shoes?",
            "state": "done",
            "text": "30 days [1].",
            "outcome": "answered",
            "citations": [citation_json(CITATION)],
            "feedback": "up",
        },
        blank
        | {
            "turn": failed.id,
            "client_ids": ["client-3"],
            "state": "failed",
            "error": {"code": "timeout", "message": "Please try again."},
        },
        blank | {"turn": running.id, "client_ids": ["client-4"], "state": "running"},
        blank | {"turn": "", "client_ids": ["client-5"], "question": "Hello?", "state": "pending"},
    ]


async def test_a_long_transcript_is_cut_at_its_beginning(db: Database) -> None:
    visitor = await open_visitor_conversation(db, BRAND, None, None)
    for number in range(5):
        await _say(db, visitor, f"client-{number}", f"question {number}")
        turn = await _turn(db, visitor.id)
        await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None)
    shown, _ = await conversations.transcript(db, visitor.id, limit=2)
    assert [(view.question, view.client_ids) for view in shown] == [
        ("question 3", ("client-3",)),
        ("question 4", ("client-4",)),
    ]


async def test_a_turn_brings_the_last_answered_turns_of_its_conversation(db: Database) -> None:
    for number in range(4):
        accepted = await inbox.accept(db, BRAND, message(f"m{number}", f"question {number}"))
        turn = await _turn(db, accepted.conversation_id)
        if number == 2:
            await conversations.fail(db, turn.id, "timeout", "Sorry.")
        else:
            await conversations.finish(db, turn.id, reply(f"answer {number}"), outbox=None, handoff=None)
    other = await inbox.accept(db, BRAND, message("x", "elsewhere", key="thread-2"))
    await conversations.finish(db, (await _turn(db, other.conversation_id)).id, reply(), outbox=None, handoff=None)
    await inbox.accept(db, BRAND, message("next", "question 4"))
    turn = await inbox.next_turn(db, accepted.conversation_id, past=2)
    assert turn is not None
    assert turn.past == (inbox.PastTurn("question 1", "answer 1"), inbox.PastTurn("question 3", "answer 3"))


async def test_finishing_twice_sends_once_and_keeps_the_first_reply(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await _turn(db, accepted.conversation_id)
    await conversations.finish(db, turn.id, reply("first"), outbox=item("first"), handoff="a person")
    await conversations.finish(db, turn.id, reply("second"), outbox=item("second"), handoff="a person")
    await conversations.fail(db, turn.id, "timeout", "third", outbox=item("third"))
    assert (await conversations.evidence(db, turn.id))["text"] == "first"
    assert [row.text for row in await rows(db, outbox_table)] == ["first"]
    assert len(await rows(db, handoffs_table)) == 1


async def test_reply_delivery_and_handover_are_stored_together_or_not_at_all(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await _turn(db, accepted.conversation_id)

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("cannot be stored")

    broken = item()
    broken = type(broken)("slack", "main", "T1", {"to": Unprintable()}, "text", ())  # type: ignore[dict-item]
    with pytest.raises(Exception, match="cannot be stored"):
        await conversations.finish(db, turn.id, reply(), outbox=broken, handoff="a person")
    assert (await conversations.evidence(db, turn.id))["state"] == "running"
    assert await rows(db, handoffs_table) == []


async def test_evidence_explains_a_turn(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1", "Returns?"))
    turn = await _turn(db, accepted.conversation_id)
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None)
    found = await conversations.evidence(db, turn.id)
    assert found["finished_at"] >= found["created_at"]
    del found["finished_at"], found["created_at"]
    assert found == {
        "turn": turn.id,
        "conversation": accepted.conversation_id,
        "brand": BRAND,
        "channel": "slack",
        "question": "Returns?",
        "state": "done",
        "text": "30 days [1].",
        "outcome": "answered",
        "citations": [citation_json(CITATION)],
        "adapter": {"brand": BRAND, "version": "v3"},
        "usage": {"prompt_tokens": 200, "completion_tokens": 9},
        "timings_ms": {"total": 12.5},
        "evidence": {"route": "question"},
        "error_code": None,
    }


async def test_an_unknown_turn_is_told(db: Database) -> None:
    with pytest.raises(ConversationUnknown):
        await conversations.evidence(db, "nothing")
