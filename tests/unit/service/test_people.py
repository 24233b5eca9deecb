"""Lanes while people take conversations over: the bot is silent at once, whatever it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import update

from channels.base import InboundMessage
from configs.handover import Handover, Unsure
from service.conversation import inbox
from service.conversation.house import House
from service.conversation.takeover import Change
from service.people.desk import Desk
from service.storage.database import Database, now
from service.storage.tables import conversations, handoffs, outbox, turns
from service.storage.tables import inbox as inbox_table
from service.testing import ScriptedGenerator
from service.turns.hub import Frame, Subscription
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import rows
from tests.unit.service.test_lanes import SAYS, Bench


class People(Bench):
    """Lanes with a desk beside them."""

    def __init__(self, db: Database, generator: ScriptedGenerator, rules: Handover) -> None:
        super().__init__(db, generator)
        self.use(rules)

    def use(self, rules: Handover) -> None:
        """Rules of the brand."""
        self.brand = self.brand.model_copy(update={"handover": rules})
        self.lanes._brands = {"velmora": self.brand}
        house = House({"velmora": self.brand})
        self.lanes._house = house
        self.desk = Desk(self.db, house, hub=self.hub, hush=self.lanes.hush, answer=self.lanes.stir)

    async def write(self, number: int, text: str) -> str:
        """A visitor writes in the widget."""
        said = InboundMessage("web", "velmora", f"c:client-{number}", "visitor", "visitor", text)
        accepted = await inbox.accept(self.db, "velmora", said)
        self.lanes.submit(accepted.conversation_id)
        return accepted.conversation_id

    async def quiet(self) -> None:
        await until(lambda: not self.lanes._lanes)


def frames(subscription: Subscription) -> list[Frame]:
    found, subscription._frames = [one for one in subscription._frames if one], []
    return found


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    made = People(db, ScriptedGenerator([SAYS], delay_s=0.02), Handover())
    yield made
    await made.lanes.drain(0.1)
    await db.close()


@pytest.mark.parametrize("wait_s", [0.0, 0.03, 0.1, 0.25, 0.4])
async def test_a_person_silences_the_bot_wherever_it_is(people: People, wait_s: float) -> None:
    people.generator.script[:] = [f"{SAYS} {SAYS} {SAYS}"]
    conversation = await people.write(1, "How long may I send it back?")
    with people.hub.subscribe(conversation) as subscription:
        await asyncio.sleep(wait_s)
        change = await people.desk.take(conversation, by="Anna")
        shown = frames(subscription)
        await people.quiet()
        await asyncio.sleep(0.05)
        after = frames(subscription)
    (row,) = await rows(people.db, turns)
    if row.state == "done":
        assert change.withheld == ()
        return
    assert row.state in ("withheld", "heard")
    assert {"type": "state", "state": "person", "owner": "Anna"} in shown
    assert not [one for one in after if one["type"] in ("sentence", "token", "reply")], "silent at once"
    if row.state == "withheld":
        assert {"type": "withheld", "turn": row.id} in shown
    assert conversation not in people.hub.live


async def test_a_persons_words_reach_the_widget_and_the_bots_memory(people: People) -> None:
    conversation = await people.write(1, "How long may I send it back?")
    await people.quiet()
    with people.hub.subscribe(conversation) as subscription:
        await people.desk.say(conversation, by="Anna", text="Send it to me in Paris.", key="1")
        await people.write(2, "Thank you, Anna")
        await people.quiet()
        said, state, heard = frames(subscription)
        assert (said["type"], said["author"], said["text"]) == ("said", "Anna", "Send it to me in Paris.")
        assert state == {"type": "state", "state": "person", "owner": "Anna"}
        assert (heard["type"], heard["client_ids"], heard["question"]) == ("heard", ["client-2"], "Thank you, Anna")
    assert len(people.generator.prompts) == 1
    await people.desk.give_back(conversation, by="Anna")
    await people.write(3, "How long may I send the scarf back?")
    await people.quiet()
    prompt = [(one.role, one.content) for one in people.generator.prompts[-1]]
    assert prompt[1] == ("user", "How long may I send it back?")
    assert prompt[2][0] == "assistant"
    assert prompt[2][1].startswith("An item can be returned within 30 days")
    assert prompt[2][1].endswith("\nSend it to me in Paris.")
    assert prompt[3][1].startswith("Thank you, Anna\n\nSources:")
    assert [role for role, _ in prompt] == ["system", "user", "assistant", "user"], "strict chat templates take no more"


async def test_whoever_takes_it_by_force_is_named_in_the_widget(people: People) -> None:
    conversation = await people.write(1, "How long may I send it back?")
    await people.quiet()
    await people.desk.take(conversation, by="Anna")
    with people.hub.subscribe(conversation) as subscription:
        assert (await people.desk.take(conversation, by="Ben", force=True)).changed
        assert frames(subscription) == [{"type": "state", "state": "person", "owner": "Ben"}]


async def test_a_wish_for_a_person_makes_the_bot_wait_with_one_line(people: People) -> None:
    people.generator.script[:] = ["We pass it on."]
    conversation = await people.write(1, "I want to talk to a human")
    await people.quiet()
    for number in (2, 3, 4):
        await people.write(number, f"hello {number}?")
        await people.quiet()
    shown = await people.desk.shown(conversation)
    assert shown["state"] == "waiting"
    bots = [one["text"] for one in shown["messages"] if one["from"] == "bot"]
    assert bots[1:] == [people.brand.handover.words.waiting]
    assert len(people.generator.prompts) == 1
    (handoff,) = await rows(people.db, handoffs)
    assert "person" in handoff.reason
    assert handoff.summary["asked"] == ["I want to talk to a human"]


async def waited(people: People, *texts: str, then: Literal["wait", "bot"] = "bot") -> str:
    """A visitor asks for a person, writes on, and nobody comes for an hour."""
    people.use(Handover(nobody_after_min=5, then=then))
    conversation = await people.write(1, "I want to talk to a human")
    await people.quiet()
    for number, text in enumerate(texts, 2):
        await people.write(number, text)
        await people.quiet()
    hour_ago = update(inbox_table).values(received_at=now() - timedelta(hours=1))
    await people.db.write(lambda connection: connection.execute(hour_ago))
    assert await people.desk.nobody_came(clock=lambda: now() + timedelta(hours=1)) == 1
    await people.quiet()
    return conversation


async def test_what_was_said_while_nobody_came_is_answered_in_one_turn(people: People) -> None:
    await waited(people, "How long may I send it back?", "It is a scarf.")
    *_, told, answered = sorted(await rows(people.db, turns), key=lambda row: row.number)
    assert told.text == people.brand.handover.words.nobody
    assert answered.question == "How long may I send it back?\nIt is a scarf."
    assert (answered.state, answered.outcome) == ("done", "answered")
    assert "heard" not in {row.state for row in await rows(people.db, turns)}
    assert len(people.generator.prompts) == 2
    (conversation,) = await rows(people.db, conversations)
    assert conversation.state == "bot"
    assert [row.state for row in await rows(people.db, handoffs)] == ["open"], "the team still sees it"


async def test_a_second_wish_while_nobody_came_does_not_begin_the_wait_anew(people: People) -> None:
    conversation = await waited(people, "I want to talk to a human!")
    (row,) = await rows(people.db, conversations)
    assert row.state == "bot"
    assert len(await rows(people.db, handoffs)) == 1
    await people.write(9, "I want to talk to a human, now")
    await people.quiet()
    assert (await people.desk.shown(conversation))["state"] == "waiting", "a new wish is one"


async def test_where_the_customer_waits_on_nothing_is_answered(people: People) -> None:
    await waited(people, "How long may I send it back?", then="wait")
    assert [row.question for row in await rows(people.db, turns) if row.state == "heard"] == [
        "How long may I send it back?"
    ]
    assert len(people.generator.prompts) == 1


async def test_given_back_the_bot_answers_and_the_old_wish_hands_nothing_over(people: People) -> None:
    people.use(Handover(frustration=True))
    conversation = await people.write(1, "How long may I send the blue scarf back?")
    await people.quiet()
    await people.write(2, "How long may I send the blue scarf back?")
    await people.quiet()
    assert (await people.desk.shown(conversation))["state"] == "waiting", "the same question again"
    await people.desk.say(conversation, by="Anna", text="Thirty days.", key="1")
    await people.desk.give_back(conversation, by="Anna")
    await people.write(3, "How long may I send the blue scarf back?")
    await people.quiet()
    shown = await people.desk.shown(conversation)
    assert shown["state"] == "bot"
    assert shown["messages"][-1]["from"] == "bot"


async def test_answers_that_do_not_help_lead_to_a_person_and_say_so(people: People) -> None:
    people.use(Handover(unsure=Unsure(times=2)))
    people.lanes._pipeline._retrievers["velmora"].answerability = 0.1  # type: ignore[attr-defined]
    people.generator.script[:] = ["We have no information on this in our pages."]
    conversation = await people.write(1, "What is the meaning of the moon?")
    await people.quiet()
    assert (await people.desk.shown(conversation))["state"] == "bot"
    await people.write(2, "And what is the meaning of the sun?")
    await people.quiet()
    shown = await people.desk.shown(conversation)
    assert shown["state"] == "waiting"
    assert shown["messages"][-1]["text"].endswith(people.brand.words.handovers[0])
    assert shown["handoffs"][0]["reason"] == "2 answers in a row did not help"
    await people.desk.give_back(conversation, by="Anna")
    await people.write(3, "And what is the meaning of Mars?")
    await people.quiet()
    assert (await people.desk.shown(conversation))["state"] == "bot", "it counts anew"


async def test_what_a_crash_left_while_a_person_had_it_is_heard_at_the_next_start(people: People) -> None:
    conversation = await people.write(1, "Hello")
    await people.quiet()
    await people.desk.take(conversation, by="Anna")
    said = InboundMessage("web", "velmora", "c:client-2", "visitor", "visitor", "Still there?")
    await inbox.accept(people.db, "velmora", said)
    assert await people.lanes.resume() == 1
    await people.quiet()
    assert [row.state for row in await rows(people.db, turns) if row.question == "Still there?"] == ["heard"]
    assert await rows(people.db, outbox) == []


async def test_a_turn_that_began_a_moment_before_the_person_came_is_looked_at_again(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane is told of its turn only after the person's transaction: it must not begin to answer."""
    real = inbox.next_turn
    came: list[Change] = []

    async def slow(*arguments: Any, **more: Any) -> inbox.PendingTurn | None:
        turn = await real(*arguments, **more)
        if not came and turn is not None:
            came.append(await people.desk.take(turn.conversation_id, by="Anna"))
        return turn

    monkeypatch.setattr(inbox, "next_turn", slow)
    await people.write(1, "How long may I send it back?")
    await people.quiet()
    assert [change.withheld for change in came] == [(row.id,) for row in await rows(people.db, turns)]
    assert people.generator.prompts == []
