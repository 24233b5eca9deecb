"""`brandvoice outbox`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.delivery import outbox
from service.delivery import stuck as left
from service.storage.database import Database
from tests.unit.cli.conftest import Cli
from tests.unit.service.storage.support import CHANNELS, Platform, answered


@pytest.fixture
def stuck(home: Path) -> dict[str, str]:
    """A database with a reply that was given up, and one that may have arrived; ids by state."""
    home.mkdir(parents=True)

    async def fill() -> dict[str, str]:
        db = await Database.open(f"sqlite:///{home}/brandvoice.db")
        await answered(db, key="a")
        await answered(db, key="b")
        platform = Platform(script=[400, "answer lost"])
        await outbox.deliver_due(db, CHANNELS, platform.send)
        found = {one.state: one.id for one in await left.stuck(db)}
        await db.close()
        return found

    return asyncio.run(fill())


def test_where_nothing_ever_ran_nothing_is_stuck(cli: Cli) -> None:
    done = cli("outbox", "list")
    assert (done.code, done.out) == (0, "")
    assert "every reply has reached its platform" in done.err


def test_stuck_replies_are_shown_with_their_reason(cli: Cli, stuck: dict[str, str]) -> None:
    assert stuck.keys() == {"failed", "unknown"}
    assert {one["id"] for one in cli("outbox", "list", "--json").json["replies"]} == set(stuck.values())
    assert "status 400" in cli("outbox", "list").out


def test_all_means_those_that_were_given_up(cli: Cli, stuck: dict[str, str]) -> None:
    assert cli("outbox", "replay", "--all", "--json").json == {"planned": [stuck["failed"]]}
    (left,) = cli("outbox", "list", "--json").json["replies"]
    assert left["id"] == stuck["unknown"]
    assert cli("outbox", "replay", stuck["unknown"]).out == "1 planned again\n"


@pytest.mark.parametrize(("words", "code"), [((), 2), (("--all", "x"), 2), (("x",), 1)])
def test_what_cannot_be_sent_again_is_said(cli: Cli, stuck: dict[str, str], words: tuple[str, ...], code: int) -> None:
    done = cli("outbox", "replay", *words)
    assert done.code == code
    assert "brandvoice outbox list" in done.err
