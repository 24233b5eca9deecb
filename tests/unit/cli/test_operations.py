"""Backup, restore, moving, retention and forgetting as an operator meets them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from channels.base import InboundMessage
from service.conversation import inbox
from service.conversation import store as conversations
from service.storage.database import Database
from tests.unit.cli.conftest import Cli
from tests.unit.service.storage.support import message, reply

PERSON = "15550100123"


@pytest.fixture
def used(home: Path) -> Path:
    """A state folder in which two people have written."""

    async def fill() -> None:
        db = await Database.open(f"sqlite:///{home}/brandvoice.db")
        first = InboundMessage("whatsapp", "P", "wamid.1", PERSON, PERSON, "where is my parcel?", {"to": PERSON})
        for one in (first, message("m2")):
            accepted = await inbox.accept(db, "velmora", one)
            turn = await inbox.next_turn(db, accepted.conversation_id)
            assert turn
            await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None)
        await db.close()

    asyncio.run(fill())
    (home / "voices").mkdir()
    (home / "voices/velmora.json").write_text("{}")
    return home


def test_a_backup_comes_back_and_a_full_home_is_not_overwritten(
    cli: Cli, used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "monday.tar.gz"
    made = cli("backup", str(archive), "--json")
    assert made.code == 0, made.err
    assert made.json["rows"]["turns"] == 2
    assert cli("backup", str(archive)).code == 2
    assert cli("backup", str(used / "inside.tar.gz")).code == 2
    refused = cli("restore", str(archive))
    assert refused.code == 2
    assert "holds brandvoice.db, voices already" in refused.err
    monkeypatch.setenv("BRANDVOICE_HOME", str(tmp_path / "other"))
    back = cli("restore", str(archive))
    assert back.code == 0, back.err
    assert "2 turns" in back.out
    assert (tmp_path / "other/voices/velmora.json").read_text() == "{}"
    archive.write_bytes(archive.read_bytes()[:-40])
    damaged = cli("restore", str(archive), "--force")
    assert (damaged.code, damaged.err.splitlines()[-3]) == (1, "error: the archive is refused")
    assert cli("restore", str(tmp_path / "none.tar.gz")).code == 1


def test_a_backup_is_not_restored_under_a_running_gateway(cli: Cli, used: Path, tmp_path: Path) -> None:
    from configs.home import Home
    from service.starting.demo import only_one

    cli("backup", str(tmp_path / "a.tar.gz"))
    with only_one(Home(used)):
        assert "another brandvoice runs" in cli("restore", str(tmp_path / "a.tar.gz"), "--force").err


def test_rows_move_to_another_database_and_the_line_to_set_is_printed(cli: Cli, used: Path, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/other.db"
    moved = cli("db", "migrate", "--to", target)
    assert moved.code == 0, moved.err
    assert moved.out.splitlines()[-1] == f"database: {{url: {target}}}"
    again = cli("db", "migrate", "--to", target)
    assert again.code == 1
    assert "holds rows already" in again.err
    assert cli("db", "migrate", "--to", f"sqlite:///{used}/brandvoice.db").code == 2
    assert cli("db", "migrate", "--to", "mysql://x/y").code == 1


def test_a_move_that_fails_leaves_no_file(cli: Cli, used: Path, tmp_path: Path) -> None:
    async def held() -> None:
        db = await Database.open(f"sqlite:///{used}/brandvoice.db")
        await db.ping()
        failed = await asyncio.to_thread(cli, "db", "migrate", "--to", f"sqlite:///{tmp_path}/other.db")
        assert failed.code == 1
        assert "open in another process" in failed.err
        await db.close()

    asyncio.run(held())
    assert list(tmp_path.glob("other.db*")) == []


def test_a_server_that_is_away_is_three_lines(cli: Cli, used: Path) -> None:
    away = cli("db", "migrate", "--to", "postgresql://me:hunter2@127.0.0.1:9/x")
    assert away.code == 1
    assert away.err.strip().splitlines()[-3].startswith("error: the database cannot do this")
    assert "hunter2" not in away.err


def test_a_person_is_forgotten_with_a_receipt(cli: Cli, used: Path) -> None:
    dry = cli("forget", "--contact", "+1 555 010 0123", "--dry-run", "--json")
    assert dry.json["rows"] == {"conversations": 1, "turns": 1, "inbox": 1}
    told = cli("forget", "--contact", "+1 555 010 0123")
    assert told.code == 0, told.err
    assert PERSON not in told.out + told.err
    (kept,) = (used / "receipts").iterdir()
    assert json.loads(kept.read_text())["rows"]["turns"] == 1
    assert "nothing of this contact is kept" in cli("forget", "--contact", PERSON).err
    assert cli("forget", "--contact", " ").code == 2


def test_retention_says_when_no_brand_has_a_limit(cli: Cli, used: Path) -> None:
    assert "everything is kept" in cli("retention", "run", "--dry-run").err


@pytest.mark.parametrize(
    "words", [("retention", "run"), ("forget", "--contact", "x"), ("db", "migrate", "--to", "sqlite:///x")]
)
def test_without_a_database_there_is_nothing_to_do(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words).code == 1
    assert not os.path.exists("x")
