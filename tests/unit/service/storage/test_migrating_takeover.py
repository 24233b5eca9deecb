"""A database of the first version that holds data comes to states and owners without losing anything."""

from __future__ import annotations

from typing import Any

from service.conversation.house import House
from service.people.desk import Desk
from service.storage.database import Database
from service.storage.tables import conversations, handoffs, turns
from tests.unit.service.storage.support import at_first_version, at_version, rows

OLD = (
    "INSERT INTO conversations (id, brand, channel, account, external_key, created_at) "
    "VALUES ('c', 'harbor', 'web', 'harbor', 'c', '2026-11-01 10:00:00')",
    "INSERT INTO turns (id, conversation_id, number, question, state, text, citations, created_at) "
    "VALUES ('t', 'c', 1, 'Hello?', 'done', 'Hello.', '[]', '2026-11-01 10:00:00')",
    "INSERT INTO handoffs (id, brand, conversation_id, turn_id, reason, state, created_at, attempts) "
    "VALUES ('h', 'harbor', 'c', 't', 'asked', 'open', '2026-11-01 10:00:00', 0)",
)


async def test_what_was_there_is_the_bots_and_can_be_taken(url: str) -> None:
    await at_first_version(url, OLD)
    db = await Database.open(url)
    try:
        (old,) = await rows(db, conversations)
        assert (old.state, old.owner, old.told, old.rules_from) == ("bot", None, 0, 0)
        desk = Desk(db, House())
        await desk.say("c", by="Anna", text="Hello, I am Anna.", key="1")
        shown: dict[str, Any] = await desk.shown("c")
        assert [one["text"] for one in shown["messages"]] == ["Hello?", "Hello.", "Hello, I am Anna."]
        assert [row.author for row in await rows(db, turns) if row.author] == ["Anna"]
        assert [(row.state, row.taken_by, row.summary) for row in await rows(db, handoffs)] == [("taken", "Anna", None)]
    finally:
        await db.close()


async def test_a_name_that_one_account_has_is_taken_for_it_and_one_that_two_have_for_nobodys(url: str) -> None:
    people = "INSERT INTO people (id, email, name, language, disabled, created_at) VALUES "
    at = "'2026-11-01 10:00:00'"
    had = "INSERT INTO conversations (id, brand, channel, account, external_key, created_at, state, owner) VALUES "
    await at_version(
        url,
        "0015",
        [
            *(f"{people} ('{one}', '{one}', '{name}', 'en', false, {at})" for one, name in
              (("p1", "Anna"), ("p2", "Budi"), ("p3", "Budi"))),
            *(f"{had} ('{one}', 'harbor', 'web', 'harbor', '{one}', {at}, 'person', '{one}')" for one in
              ("Anna", "Budi", "Slackbot")),
        ],
    )  # fmt: skip
    db = await Database.open(url)
    try:
        assert {row.id: row.owner_id for row in await rows(db, conversations)} == {
            "Anna": "p1", "Budi": None, "Slackbot": None
        }  # fmt: skip
    finally:
        await db.close()
