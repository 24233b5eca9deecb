"""Who has a conversation, on a real database: the lock, what is withheld, what is heard, and races between them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from channels.base import FURTHER
from configs.brand import SlackBinding
from configs.load import load_config
from service.conversation import inbox, takeover
from service.conversation import store as conversations
from service.conversation.events import Outcome
from service.conversation.house import House
from service.conversation.takeover import ALLOWED, STATES
from service.delivery import outbox
from service.errors import ConversationUnknown, RequestInvalid, TakenByAnother
from service.people import hooks
from service.people.desk import Desk
from service.people.handoffs import list_handoffs
from service.storage.database import Database
from service.storage.tables import conversations as conversations_table
from service.storage.tables import hooks as hooks_table
from service.storage.tables import outbox as outbox_table
from service.storage.tables import transitions, turns
from tests.unit.service.storage.support import BRAND, CHANNELS, Clock, Platform, item, message, reply, rows
from tests.unit.service.storage.test_handoffs import SECRET, URL
from tests.unit.service.storage.test_handoffs import Desk as Outside

VELMORA = load_config(Path("configs"), {}).brands["velmora"]


def house(**handover: Any) -> House:
    rules = VELMORA.handover.model_copy(update=handover)
    bound = (SlackBinding(channel="slack", app="main", team_id="T1"),)
    brand = VELMORA.model_copy(update={"name": BRAND, "handover": rules, "channels": bound})
    return House({BRAND: brand}, (hooks.plan,))


HOUSE = house()


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db, HOUSE)


async def hear(db: Database, number: int, text: str = "Hello?", **more: Any) -> inbox.PendingTurn:
    accepted = await inbox.accept(db, BRAND, message(f"m{number}", text))
    turn = await inbox.next_turn(db, accepted.conversation_id, past=3, house=more.get("house", HOUSE))
    assert turn is not None
    return turn


async def answer(db: Database, turn: inbox.PendingTurn, *, handoff: str | None = None, text: str = "30 days.") -> bool:
    outcome: Outcome = "handed_off" if handoff else "answered"
    return await conversations.finish(
        db, turn.id, reply(text, outcome), outbox=item(text), handoff=handoff, house=HOUSE
    )  # fmt: skip


async def deliver(db: Database) -> list[str]:
    platform = Platform()
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=Clock())
    return platform.taken


async def state(db: Database) -> tuple[str, str | None]:
    (row,) = await rows(db, conversations_table)
    return row.state, row.owner


async def test_a_handover_makes_the_conversation_wait_with_a_summary_for_the_person(db: Database) -> None:
    await answer(db, await hear(db, 1, "How long may I send it back?"))
    turn = await hear(db, 2, "I want a person")
    await answer(db, turn, handoff="wants a person", text="We pass it on.")
    assert await state(db) == ("waiting", None)
    (handoff,) = await list_handoffs(db)
    assert handoff.summary is not None
    assert handoff.summary["why"] == "wants a person"
    assert handoff.summary["asked"] == ["How long may I send it back?", "I want a person"]
    first, second = handoff.summary["exchanges"]
    assert (first["answer"], first["sources"]) == ("30 days.", ["Returns (returns.md)"])
    assert second["turn"] == turn.id


async def test_who_waits_is_told_once_that_somebody_comes_and_then_nothing(db: Database) -> None:
    await answer(db, await hear(db, 1), handoff="wants a person", text="We pass it on.")
    first, second, third = [await hear(db, number) for number in (2, 3, 4)]
    assert first.heard
    assert first.said is not None
    assert first.said.text == VELMORA.handover.words.waiting
    assert second.heard
    assert second.said is None
    assert third.said is None
    assert await deliver(db) == ["We pass it on.", VELMORA.handover.words.waiting]


async def test_a_brand_may_let_the_bot_answer_until_a_person_comes_and_then_no_more(db: Database) -> None:
    answers = house(while_waiting="answer")
    turn = await hear(db, 1)
    await conversations.finish(db, turn.id, reply(), outbox=item(), handoff="wants a person", house=answers)
    turn = await hear(db, 2, house=answers)
    assert not turn.heard
    assert await conversations.finish(db, turn.id, reply("two"), outbox=None, handoff="again", house=answers)
    assert len(await list_handoffs(db)) == 1, "one is open already"
    turn = await hear(db, 3, house=answers)
    await Desk(db, answers).take(turn.conversation_id, by="Anna")
    assert not await conversations.finish(db, turn.id, reply("three"), outbox=item("x"), handoff=None, house=answers)


async def test_a_second_person_is_told_whose_it_is_and_may_force_it(db: Database, desk: Desk) -> None:
    conversation = (await hear(db, 1)).conversation_id
    await desk.take(conversation, by="Anna")
    assert not (await desk.take(conversation, by="Anna")).changed
    for refused in (
        desk.take(conversation, by="Ben"),
        desk.say(conversation, by="Ben", text="Hi", key="1"),
        desk.give_back(conversation, by="Ben"),
        desk.close(conversation, by="Ben"),
    ):
        with pytest.raises(TakenByAnother, match="Anna has this conversation"):
            await refused
    assert await state(db) == ("person", "Anna")
    await desk.take(conversation, by="Ben", force=True, why="Anna is ill")
    assert await state(db) == ("person", "Ben")
    moved = [(row.was, row.became, row.by, row.why) for row in await rows(db, transitions)]
    assert moved == [("bot", "person", "Anna", "takes over"), ("person", "person", "Ben", "Anna is ill")]


async def test_of_many_who_take_it_at_once_one_has_it(db: Database, desk: Desk) -> None:
    conversation = (await hear(db, 1)).conversation_id
    names = [f"Person {number}" for number in range(12)]
    done = await asyncio.gather(*(desk.take(conversation, by=name) for name in names), return_exceptions=True)
    (winner,) = [one for one in done if isinstance(one, takeover.Change)]
    assert await state(db) == ("person", winner.owner)
    assert sum(isinstance(one, TakenByAnother) for one in done) == 11


async def test_an_answer_that_is_ready_after_the_take_is_withheld(db: Database, desk: Desk) -> None:
    turn = await hear(db, 1)
    change = await desk.take(turn.conversation_id, by="Anna")
    assert change.withheld == (turn.id,)
    assert not await answer(db, turn)
    assert not await conversations.fail(db, turn.id, "timeout", "Sorry.", outbox=item("Sorry."), house=HOUSE)
    assert await deliver(db) == []
    assert [row.state for row in await rows(db, turns)] == ["withheld"]


async def test_a_planned_reply_is_withdrawn_and_one_that_has_begun_is_left(db: Database, desk: Desk) -> None:
    turn = await hear(db, 1)
    await answer(db, turn, text="one\ntwo")
    platform = Platform(script=["take", 503])
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=Clock())
    second = await hear(db, 2)
    await answer(db, second, text="never")
    change = await desk.take(turn.conversation_id, by="Anna")
    assert change.withheld == (second.id,)
    assert [row.state for row in sorted(await rows(db, outbox_table), key=lambda row: row.text)] == [
        "withheld",
        "planned",
    ]
    clock = Clock()
    clock.advance(3600)
    platform = Platform()
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=clock)
    assert platform.taken == ["two"], "the half that was missing, and nothing that had not begun"


@pytest.mark.parametrize("seed", range(25))
async def test_no_race_lets_a_bots_words_out_after_a_person_took_over(db: Database, desk: Desk, seed: int) -> None:
    """Finish, take and delivery at once, in many orders: what went out agrees with what the store says."""
    turn = await hear(db, 1)
    platform = Platform()

    async def finish() -> bool:
        await asyncio.sleep(0.0007 * (seed % 5))
        return await answer(db, turn, text="the bot's")

    async def take() -> takeover.Change:
        await asyncio.sleep(0.0007 * (seed // 5))
        return await desk.take(turn.conversation_id, by="Anna")

    async def post() -> None:
        for _ in range(6):
            await outbox.deliver_due(db, CHANNELS, platform.send, clock=Clock())

    out, change, _ = await asyncio.gather(finish(), take(), post())
    before = list(platform.taken)
    await outbox.deliver_due(db, CHANNELS, platform.send, clock=Clock())
    assert platform.taken == before, "nothing begins to be sent once it is taken"
    (row,) = [one for one in await rows(db, turns) if one.id == turn.id]
    if turn.id in change.withheld:
        assert row.state == "withheld"
        assert platform.taken == []
    else:
        assert out
        assert platform.taken == ["the bot's"]


async def test_a_persons_words_go_out_once_and_in_order_and_the_bot_remembers_them(db: Database, desk: Desk) -> None:
    conversation = (turn := await hear(db, 1, "How long may I send it back?")).conversation_id
    await answer(db, turn)
    await desk.say(conversation, by="Anna", text="Hello, I am Anna.", key="a-1")
    assert (await desk.say(conversation, by="Anna", text="Hello, I am Anna.", key="a-1")).said.repeated  # type: ignore[union-attr]
    await inbox.accept(db, BRAND, message("m2", "I have lost the box."))
    await desk.say(conversation, by="Anna", text="Send it without.", key="a-2")
    assert await deliver(db) == ["Hello, I am Anna.", "Send it without."], "the bot's was withdrawn"
    shown = await desk.shown(conversation)
    assert [(one["from"], one["name"], one["text"]) for one in shown["messages"]] == [
        ("customer", None, "How long may I send it back?"),
        ("bot", None, "30 days."),
        ("person", "Anna", "Hello, I am Anna."),
        ("customer", None, "I have lost the box."),
        ("person", "Anna", "Send it without."),
    ]
    assert shown["messages"][1]["state"] == "withheld"
    await desk.give_back(conversation, by="Anna")
    turn = await hear(db, 3, "And in a bag?")
    assert [(past.question, past.text) for past in turn.past] == [
        ("How long may I send it back?", ""),
        ("", "Hello, I am Anna."),
        ("I have lost the box.", ""),
        ("", "Send it without."),
    ]
    assert not any(past.counts for past in turn.past)


async def test_what_is_said_again_to_one_message_says_so_to_its_platform(db: Database, desk: Desk) -> None:
    conversation = (turn := await hear(db, 1)).conversation_id
    await desk.take(conversation, by="Anna")
    for number, text in enumerate(("one", "two")):
        await desk.say(conversation, by="Anna", text=text, key=str(number))
    await hear(db, 2)
    await desk.say(conversation, by="Anna", text="three", key="3")
    planned = {row.text: row.reply_to for row in await rows(db, outbox_table)}
    assert planned["one"] == turn.reply_to
    assert planned["two"] == {**turn.reply_to, FURTHER: "yes"}
    assert FURTHER not in planned["three"]


async def test_the_same_key_in_another_conversation_is_another_message(db: Database, desk: Desk) -> None:
    for number, key in ((1, "a"), (2, "b")):
        accepted = await inbox.accept(db, BRAND, message(f"m{number}", key=key))
        change = await desk.say(accepted.conversation_id, by="Anna", text=f"Hello {key}", key="same")
        assert change.said is not None
        assert not change.said.repeated
    assert sorted(await deliver(db)) == ["Hello a", "Hello b"]


async def test_what_is_said_to_a_person_is_stored_in_order_and_answered_by_no_bot(db: Database, desk: Desk) -> None:
    conversation = (await hear(db, 1)).conversation_id
    await desk.take(conversation, by="Anna")
    for number in (2, 3):
        assert (await hear(db, number, f"text {number}")).heard
    assert await inbox.unfinished(db) == []
    shown = await desk.shown(conversation)
    assert [one["text"] for one in shown["messages"]] == ["Hello?", "text 2", "text 3"]
    await desk.give_back(conversation, by="Anna")
    turn = await hear(db, 4)
    assert not turn.heard
    assert turn.question == "Hello?", "what was said to the person is not asked again"


async def test_the_message_that_led_to_a_handover_leads_to_no_second_one(db: Database, desk: Desk) -> None:
    turn = await hear(db, 1, "I want a person")
    await answer(db, turn, handoff="wants a person")
    await inbox.accept(db, BRAND, message("m2", "hello??"))
    await desk.give_back(turn.conversation_id, by="Anna")
    assert await inbox.next_turn(db, turn.conversation_id, house=HOUSE) is None
    assert [one.state for one in await list_handoffs(db)] == ["closed"]
    assert await state(db) == ("bot", None)


async def test_a_closed_conversation_is_opened_by_the_next_message_as_the_bots(db: Database, desk: Desk) -> None:
    turn = await hear(db, 1)
    await inbox.accept(db, BRAND, message("m2"))
    await desk.close(turn.conversation_id, by="Anna")
    assert await inbox.next_turn(db, turn.conversation_id, house=HOUSE) is None, "what came before is over too"
    assert await state(db) == ("closed", None)
    assert not (await hear(db, 3)).heard
    assert await state(db) == ("bot", None)
    moved = [(row.was, row.became, row.by) for row in await rows(db, transitions)]
    assert moved == [("bot", "closed", "Anna"), ("closed", "bot", "customer")]


async def test_a_person_may_write_first_in_a_closed_conversation(db: Database, desk: Desk) -> None:
    conversation = (await hear(db, 1)).conversation_id
    await desk.close(conversation, by="Anna")
    await desk.say(conversation, by="Ben", text="One more thing.", key="1")
    assert await state(db) == ("person", "Ben")
    assert await deliver(db) == ["One more thing."]


@pytest.mark.parametrize("then", ["wait", "bot"])
async def test_where_nobody_comes_the_customer_is_told_once(db: Database, then: str) -> None:
    patient = house(nobody_after_min=5, then=then)
    desk, clock = Desk(db, patient), Clock()
    await answer(db, await hear(db, 1), handoff="wants a person", text="We pass it on.")
    clock.advance(3 * 60)
    assert await desk.nobody_came(clock=clock) == 0
    clock.advance(2 * 60)
    assert await desk.nobody_came(clock=clock) == 1
    assert await desk.nobody_came(clock=clock) == 0
    assert await deliver(db) == ["We pass it on.", VELMORA.handover.words.nobody]
    assert await state(db) == ("waiting" if then == "wait" else "bot", None)
    assert [one.state for one in await list_handoffs(db)] == ["open"], "the team still sees it"
    assert (await hear(db, 2, house=patient)).heard == (then == "wait")
    assert await deliver(db) == [], "no second line"


async def test_the_customer_may_go_on_with_the_bot_while_nobody_has_come(db: Database, desk: Desk) -> None:
    turn = await hear(db, 1)
    await answer(db, turn, handoff="wants a person")
    await desk.leave_queue(turn.conversation_id)
    assert await state(db) == ("bot", None)
    await desk.take(turn.conversation_id, by="Anna")
    assert not (await desk.leave_queue(turn.conversation_id)).changed
    assert await state(db) == ("person", "Anna"), "a person is not sent away"


async def test_the_outside_is_told_in_order_with_no_words_unless_wanted(db: Database, desk: Desk) -> None:
    turn = await hear(db, 1)
    await answer(db, turn, handoff="wants a person")
    await desk.take(turn.conversation_id, by="Anna")
    await hear(db, 2, "My number is 5")
    await desk.give_back(turn.conversation_id, by="Anna")
    planned = await rows(db, hooks_table)
    assert sorted(row.kind for row in planned) == ["handoff.closed", "handoff.taken", "message.received"]
    outside, clock = Outside(500), Clock()
    assert await hooks.notify_due(db, URL, SECRET, outside.post, clock=clock) == 2
    clock.advance(10)
    assert await hooks.notify_due(db, URL, SECRET, outside.post, words=True, clock=clock) == 1
    ids = [headers["webhook-id"] for _, headers, _ in outside.calls]
    assert ids[0] == ids[3]
    assert outside.calls[0][2] == outside.calls[3][2], "the same bytes again"
    assert b"My number is 5" not in b"".join(body for _, _, body in outside.calls)
    (heard,) = [row for row in planned if row.kind == "message.received"]
    await db.write(lambda c: c.execute(hooks_table.update().values(notified_at=None)))
    told = Outside()
    await hooks.notify_due(db, URL, SECRET, told.post, words=True, clock=clock)
    (body,) = [body for _, headers, body in told.calls if headers["webhook-id"] == heard.id]
    assert b"My number is 5" in body


async def test_notes_are_private(db: Database, desk: Desk) -> None:
    conversation = (await hear(db, 1)).conversation_id
    await desk.note(conversation, by="Anna", text="Is a friend of the house.")
    shown = await desk.shown(conversation)
    assert [(one["by"], one["text"]) for one in shown["notes"]] == [("Anna", "Is a friend of the house.")]
    assert shown["changes"] == []
    assert "friend" not in str(await conversations.transcript(db, conversation))


@pytest.mark.parametrize("name", ["", "  ", "bot", "Customer", "x" * 101])
async def test_a_name_that_is_none_is_refused(db: Database, desk: Desk, name: str) -> None:
    conversation = (await hear(db, 1)).conversation_id
    with pytest.raises(RequestInvalid):
        await desk.take(conversation, by=name)


async def test_a_conversation_that_is_not_there_is_told(desk: Desk) -> None:
    with pytest.raises(ConversationUnknown):
        await desk.take("nothing", by="Anna")
    with pytest.raises(ConversationUnknown):
        await desk.shown("nothing")


async def test_the_table_of_transitions_holds(db: Database, desk: Desk) -> None:
    """From each state to each other one by what people can do: exactly what the table allows comes about."""
    ways = {"bot": desk.give_back, "person": desk.take, "closed": desk.close}
    for start in STATES:
        for goal, way in ways.items():
            accepted = await inbox.accept(db, BRAND, message(f"{start}{goal}", key=f"{start}{goal}"))
            turn = await inbox.next_turn(db, accepted.conversation_id, house=HOUSE)
            assert turn is not None
            conversation = accepted.conversation_id
            if start == "waiting":
                await answer(db, turn, handoff="x")
            elif start != "bot":
                await ways[start](conversation, by="Anna")
            change = await way(conversation, by="Ben", force=True)
            assert (change.was, change.became) == (start, goal)
            assert change.was == change.became or goal in ALLOWED[start]
