"""`brandvoice channel send`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from channels.base import InboundMessage, Request
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform
from configs.load import load_config
from service.cli.gateway import Gateway
from service.conversation import inbox
from service.delivery import outbox
from service.people import sending
from service.storage.database import Database, now
from service.storage.tables import inbox as inbox_table
from service.storage.tables import turns
from tests.unit.cli.conftest import Cli
from tests.unit.service.storage.support import rows

SECRETS = {"app_secret": "s" * 32, "verify_token": "verify-me", "access_token": "EAA-secret-token"}
VARIABLES = {"app_secret": "APP_SECRET", "verify_token": "VERIFY_TOKEN", "access_token": "ACCESS_TOKEN"}
ACCOUNT = next(
    one.account for one in load_config(Path("configs"), {}).brands["velmora"].channels if one.channel == "whatsapp"
)


@pytest.fixture
def heard(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A person has written to velmora's number; the URL of the database that says so."""
    for name, variable in VARIABLES.items():
        monkeypatch.setenv(f"WHATSAPP_{variable}", SECRETS[name])
    home.mkdir(parents=True)
    url = f"sqlite:///{home}/brandvoice.db"

    async def fill() -> None:
        db = await Database.open(url)
        to = {"to": "15550100001", "message_id": "wamid.1"}
        said = InboundMessage("whatsapp", ACCOUNT, "wamid.1", "US.1", "US.1", "Hello?", to)
        await inbox.accept(db, "velmora", said)
        await db.close()

    asyncio.run(fill())
    return url


def age(url: str, hours: float) -> None:
    async def change() -> None:
        db = await Database.open(url)
        at = now() - timedelta(hours=hours)
        await db.write(lambda connection: connection.execute(inbox_table.update().values(received_at=at)))
        await db.close()

    asyncio.run(change())


@pytest.mark.parametrize("to", ["US.1", "15550100001"])
def test_the_calls_are_shown_without_secrets_and_nothing_is_planned(cli: Cli, heard: str, to: str) -> None:
    done = cli("channel", "send", "whatsapp/main", "A **test**.", "--account", ACCOUNT, "--to", to, "--dry-run")
    assert done.code == 0, done.err
    (call,) = json.loads(done.out)
    assert call["body"]["text"] == {"body": "A *test*.", "preview_url": False}
    assert call["body"]["to"] == "15550100001"
    assert call["headers"]["authorization"] == "***"
    assert not any(secret in done.out for secret in SECRETS.values())

    async def planned() -> Mapping[str, int]:
        db = await Database.open(heard)
        found = await outbox.counts(db)
        await db.close()
        return found

    assert asyncio.run(planned()) == {}


def test_a_message_goes_out_by_the_outbox_and_is_no_turn_that_prompts_hold(
    cli: Cli, heard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = FakePlatform(PLATFORMS["whatsapp"].stand_in)
    channel = build_channel("whatsapp", app="main", secrets=SECRETS, api_url="https://graph.example/v23.0")
    told = sending.outcome

    async def send(request: Request) -> tuple[int, Mapping[str, str], bytes]:
        return platform(request)

    async def delivering(db: Database, turn: str) -> tuple[str, str, list[str]]:
        await outbox.deliver_due(db, {("whatsapp", "main"): channel}, send)
        return await told(db, turn)

    monkeypatch.setattr(sending, "outcome", delivering)
    monkeypatch.setattr(Gateway, "alive", lambda _: True)
    done = cli("channel", "send", "whatsapp/main", "A test.", "--account", ACCOUNT, "--to", "US.1", "--json")
    assert done.code == 0, done.err
    assert (done.json["state"], done.json["ids"]) == ("sent", ["wamid.STANDIN000001"])
    assert platform.texts == ["A test."]

    async def kept() -> tuple[list[str], int]:
        db = await Database.open(heard)
        states = [row.state for row in await rows(db, turns)]
        (conversation,) = await inbox.unfinished(db)
        turn = await inbox.next_turn(db, conversation, past=3)
        await db.close()
        assert turn is not None
        return states, len(turn.past)

    assert asyncio.run(kept()) == (["aside"], 0)


def test_outside_of_the_window_it_is_refused_and_nothing_is_planned(
    cli: Cli, heard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(heard, 25)
    monkeypatch.setattr(Gateway, "alive", lambda _: True)
    done = cli("channel", "send", "whatsapp/main", "A test.", "--account", ACCOUNT, "--to", "US.1")
    assert done.code == 1
    assert "last wrote 25 hours ago" in done.err
    assert "templates.late_reply" in done.err


def test_without_a_gateway_nothing_is_left_behind(cli: Cli, heard: str) -> None:
    done = cli(
        "channel", "send", "whatsapp/main", "Hi", "--account", ACCOUNT, "--to", "US.1", "--url", "http://127.0.0.1:9"
    )
    assert done.code == 1
    assert "no gateway answers at http://127.0.0.1:9" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("whatsap/main", "Hi", "--to", "US.1"), 2, "there is no channel 'whatsap'"),
        (("whatsapp", "Hi", "--to", "US.1"), 2, "it is not clear from whom to send on whatsapp"),
        (("whatsapp/other", "Hi", "--to", "US.1"), 2, "whatsapp/other speaks as no brand"),
        (("whatsapp/main", "Hi", "--to", "US.2", "--account", ACCOUNT, "--dry-run"), 1, "US.2 has not written to"),
        (("whatsapp/main", " ", "--to", "US.1", "--account", ACCOUNT, "--dry-run"), 2, "there is nothing to send"),
        (("slack/main", "Hi", "--to", "U1", "--account", "T0VELMORA1"), 1, "slack/main is off"),
    ],
)
def test_what_keeps_it_from_being_sent_is_said(
    cli: Cli, heard: str, words: tuple[str, ...], code: int, said: str
) -> None:
    done = cli("channel", "send", *words)
    assert (done.code, said in done.err) == (code, True), done.err
