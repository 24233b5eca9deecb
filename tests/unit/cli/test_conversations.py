"""`brandvoice conversations`, in the database where no gateway runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.conversation import inbox
from service.conversation import store as conversations
from service.storage import ids
from service.storage.database import Database
from service.storage.ids import fresh_id
from tests.unit.cli.conftest import Cli
from tests.unit.service.storage.support import BRAND, item, message, reply


@pytest.fixture
def waiting(home: Path) -> str:
    """A conversation that waits for a person."""
    home.mkdir(parents=True)

    async def fill() -> str:
        db = await Database.open(f"sqlite:///{home}/brandvoice.db")
        accepted = await inbox.accept(db, BRAND, message("m1", "I want a person"))
        turn = await inbox.next_turn(db, accepted.conversation_id)
        assert turn is not None
        said = reply("We pass it on.", "handed_off")
        await conversations.finish(db, turn.id, said, outbox=item("We pass it on."), handoff="wants a person")
        await db.close()
        return accepted.conversation_id

    return asyncio.run(fill())


def test_where_nothing_ever_ran_there_is_nothing_to_take(cli: Cli) -> None:
    assert cli("conversations", "list").out == ""
    done = cli("conversations", "show", "x")
    assert (done.code, "no such conversation" in done.err) == (2, True)


def test_a_person_takes_writes_and_gives_back(cli: Cli, waiting: str) -> None:
    (one,) = cli("conversations", "list", "--state", "waiting", "--json").json["conversations"]
    assert one["id"] == waiting
    assert cli("conversations", "take", waiting, "--by", "Anna").out == f"{waiting}: person (Anna)\n"
    refused = cli("conversations", "say", waiting, "Hi", "--by", "Ben")
    assert refused.code == 3
    assert "Anna has this conversation" in refused.err
    assert "--force" in refused.err
    for _ in range(2):
        done = cli("conversations", "say", waiting, "Hello, I am Anna.", "--by", "Anna", "--id", "1", "--json")
        assert done.json["state"] == "person"
    shown = cli("conversations", "show", waiting)
    assert shown.out.count("Hello, I am Anna.") == 1
    assert "waiting -> person by Anna: takes over" in shown.out
    assert "[withheld]" in shown.out, "the bot's line had not been sent"
    assert cli("conversations", "return", waiting, "--by", "Anna").out == f"{waiting}: bot\n"
    assert cli("conversations", "close", waiting, "--by", "Anna", "--json").json["state"] == "closed"


def test_a_note_stands_with_the_conversation_and_changes_no_hands(cli: Cli, waiting: str) -> None:
    done = cli("conversations", "note", waiting, "calls back at six", "--by", "Anna", "--json")
    assert done.json == {"conversation": waiting, "by": "Anna", "text": "calls back at six"}
    shown = cli("conversations", "show", waiting, "--json").json
    assert [(one["by"], one["text"]) for one in shown["notes"]] == [("Anna", "calls back at six")]
    assert shown["state"] == "waiting"
    assert cli("conversations", "note", "nobody's", "x", "--by", "Anna").code == 2


def test_a_name_is_needed_and_may_stand_in_the_environment(
    cli: Cli, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("conversations", "take", waiting)
    assert done.code == 2
    assert "BRANDVOICE_PERSON" in done.err
    monkeypatch.setenv("BRANDVOICE_PERSON", "Ben")
    assert cli("conversations", "take", waiting, "--json").json["owner"] == "Ben"


def test_a_conversation_that_is_not_there_is_told(cli: Cli, waiting: str) -> None:
    assert cli("conversations", "take", "nothing", "--by", "Anna").code == 2
    assert cli("conversations", "list", "--state", "closed").out == ""


def test_no_id_is_read_as_an_option(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["-xZQdc3K", "-8Gf5WX", "b6BHLw-_"])
    monkeypatch.setattr(ids.secrets, "token_urlsafe", lambda _: next(made))
    assert "No such option" in cli("conversations", "show", "-xZQdc3K").err
    assert "no such conversation" in cli("conversations", "show", fresh_id()).err
