"""The inbox's list: which conversations, in which order, with which signs, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection

from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.events import Citation, Outcome, Reply
from service.conversation.feedback import set_feedback
from service.conversation.house import House
from service.errors import RequestInvalid
from service.people.desk import Desk
from service.people.listing import LOW_SUPPORT, SIGNS, Wanted, count_unanswered
from service.storage.database import Database
from service.storage.tables import turns
from tests.unit.service.storage.support import BRAND, at_first_version, message, rows


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db, House())


class Talk:
    """Conversations that come to be what a test needs."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.number = 0

    async def hear(self, key: str, text: str = "Hello?", *, brand: str = BRAND, channel: str = "slack") -> str:
        self.number += 1
        sent = message(f"m{self.number}", text, key=key, channel=channel)
        return (await inbox.accept(self.db, brand, sent)).conversation_id

    async def answer(
        self, conversation: str, outcome: Outcome = "answered", score: float = 0.9, *, handoff: str | None = None
    ) -> str:
        turn = await inbox.next_turn(self.db, conversation)
        assert turn is not None
        sources = (Citation(1, "returns.md", "Returns", "You have 30 days.", score),) if score else ()
        adapter = {"brand": BRAND, "version": "v1"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        said = Reply(f"So it is: {outcome}.", outcome, sources if outcome == "answered" else (), adapter, usage, {})
        await conversations.finish(self.db, turn.id, said, outbox=None, handoff=handoff)
        return turn.id

    async def talk(self, key: str, outcome: Outcome = "answered", score: float = 0.9, **more: Any) -> str:
        conversation = await self.hear(key, **more)
        await self.answer(conversation, outcome, score)
        return conversation


@pytest.fixture
def talk(db: Database) -> Talk:
    return Talk(db)


async def ids(desk: Desk, **wanted: Any) -> list[str]:
    return [one["id"] for one in (await desk.listed(Wanted(**wanted))).conversations]


async def test_what_was_said_last_stands_first_also_while_no_turn_has_taken_it_up(desk: Desk, talk: Talk) -> None:
    first, second = await talk.talk("a"), await talk.talk("b")
    third = await talk.hear("c", "A new one")
    assert await ids(desk) == [third, second, first]
    await talk.hear("a", "And then?")
    page = await desk.listed()
    assert [one["id"] for one in page.conversations] == [first, third, second]
    assert [one["last"]["text"] for one in page.conversations] == ["And then?", "A new one", "So it is: answered."]
    assert [one["last"]["from"] for one in page.conversations] == ["customer", "customer", "bot"]
    await desk.take(second, by="Anna")
    assert await ids(desk) == [first, third, second], "who has it does not move a conversation under one's fingers"


async def test_who_owes_an_answer(desk: Desk, talk: Talk, db: Database) -> None:
    answered, waits, taken = await talk.talk("a"), await talk.hear("b"), await talk.talk("c")
    await talk.answer(waits, "handed_off", handoff="wants a person")
    assert await ids(desk, signs=["unanswered"]) == [waits]
    await desk.take(taken, by="Anna")
    assert set(await ids(desk, signs=["unanswered"])) == {waits, taken}, "Anna has said nothing yet"
    await desk.say(taken, by="Anna", text="Hello, I am Anna.", key="1")
    assert await ids(desk, signs=["unanswered"]) == [waits]
    await talk.hear("c", "Are you there?")
    assert set(await ids(desk, signs=["unanswered"])) == {waits, taken}, "said, and not taken up yet"
    await inbox.next_turn(db, taken)
    assert set(await ids(desk, signs=["unanswered"])) == {waits, taken}, "heard"
    assert await db.read(count_unanswered) == 2
    assert await db.read(lambda c: count_unanswered(c, ["other"])) == 0
    await desk.say(taken, by="Anna", text="I am.", key="2")
    await desk.close(waits, by="Anna")
    assert await ids(desk, signs=["unanswered"]) == []
    assert await ids(desk, owner="Anna") == [taken] == await ids(desk, state="person")
    assert answered in await ids(desk, state="bot")


async def test_each_sign_finds_its_conversations_and_is_told_of_them(desk: Desk, talk: Talk, db: Database) -> None:
    refused, good = await talk.talk("a", "refused"), await talk.talk("b")
    low = await talk.talk("c", score=LOW_SUPPORT - 0.01)
    none = await talk.talk("d", score=0)
    down = await talk.hear("e")
    turn = await talk.answer(down)
    await set_feedback(db, turn, "down", conversation_id=down)
    up = await talk.hear("f")
    await set_feedback(db, await talk.answer(up), "up", conversation_id=up)
    handed = await talk.hear("g")
    await talk.answer(handed, "handed_off", handoff="the keyword 'lawyer'")
    assert await ids(desk, signs=["refused"]) == [refused]
    assert await ids(desk, signs=["low_support"]) == [none, low], "an answer without any source is supported by nothing"
    assert await ids(desk, signs=["thumbs_down"]) == [down]
    assert await ids(desk, signs=["handed_off"]) == [handed]
    found = {one["id"]: one for one in (await desk.listed()).conversations}
    assert {name: one["signs"] for name, one in found.items()} == {
        refused: ["refused"], good: [], low: ["low_support"], none: ["low_support"],
        down: ["thumbs_down"], up: [], handed: ["unanswered", "handed_off"],
    }  # fmt: skip
    assert found[handed]["reason"] == "the keyword 'lawyer'"
    await desk.give_back(handed, by="Anna")
    assert await ids(desk, signs=["handed_off"]) == [handed], "it was handed off, whatever came of it"
    assert await ids(desk, signs=["handed_off", "refused"]) == []
    (line,) = [one for one in (await desk.shown(down))["messages"] if one["from"] == "bot"]
    assert (line["thumb"], line["support"], line["outcome"]) == ("down", 0.9, "answered")


async def test_brand_channel_and_words(desk: Desk, talk: Talk) -> None:
    here = await talk.talk("a", text="Where is my Parcel? 100% sure")
    there = await talk.talk("b", brand="other", channel="web", text="parcel_service")
    waiting = await talk.hear("c", "The PARCEL again")
    assert await ids(desk, text="parcel") == [waiting, there, here]
    assert await ids(desk, text="parcel", brands=[BRAND]) == [waiting, here]
    assert await ids(desk, text="so it is") == [there, here], "what was answered is searched too"
    assert await ids(desk, text="100%") == [here]
    assert await ids(desk, text="l_s") == [there], "a sign of the database's is a sign like any other"
    assert await ids(desk, channel="web") == [there] == await ids(desk, brands=["other"])
    assert await ids(desk, brands=[]) == [] == await ids(desk, text="' OR 1=1 --")


async def test_pages_hold_each_conversation_once_also_where_moments_are_equal(
    desk: Desk, talk: Talk, db: Database
) -> None:
    made = [await talk.talk(f"t{number}") for number in range(7)] + [
        await talk.hear(f"p{number}") for number in range(3)
    ]
    await db.write(_at_one_moment)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        page = await desk.listed(cursor=cursor, limit=3)
        seen += [one["id"] for one in page.conversations]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(made)
    assert seen == [one["id"] for one in (await desk.listed()).conversations]
    for broken in ("nonsense", "2026-11-26~x", "2026-11-26T10:00:00+00:00"):
        with pytest.raises(RequestInvalid):
            await desk.listed(cursor=broken)


def _at_one_moment(connection: Connection) -> None:
    first = connection.execute(turns.select().order_by(turns.c.created_at)).first()
    assert first is not None
    connection.execute(turns.update().values(created_at=first.created_at))


async def test_answers_of_an_older_database_have_their_support(url: str) -> None:
    cited = '[{"number": 1, "score": 0.25, "document": "a.md"}, {"number": 2, "score": 0.125, "document": "b.md"}]'
    old: Mapping[str, tuple[str, str]] = {"t1": ("answered", cited), "t2": ("answered", "[]"), "t3": ("refused", "[]")}
    conversation = (
        "INSERT INTO conversations (id, brand, channel, account, external_key, created_at) "
        "VALUES ('c', 'harbor', 'web', 'harbor', 'c', '2026-11-01 10:00:00')"
    )
    into = (
        "INSERT INTO turns (id, conversation_id, number, question, state, text, created_at, outcome, citations) VALUES "
    )
    given = [
        f"{into} ('{name}', 'c', {number}, 'Q', 'done', 'A', '2026-11-01 10:00:00', '{outcome}', '{citations}')"
        for number, (name, (outcome, citations)) in enumerate(old.items(), start=1)
    ]
    await at_first_version(url, [conversation, *given])
    db = await Database.open(url)
    try:
        assert {row.id: row.support for row in await rows(db, turns)} == {"t1": 0.25, "t2": 0.0, "t3": None}
    finally:
        await db.close()


def test_every_sign_can_be_asked_for() -> None:
    from service.people.listing import _SIGNS

    assert set(_SIGNS) == set(SIGNS)
