"""`brandvoice channel install-link`, and `channel list` of what was installed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from channels.installs import Grant
from configs.load import load_config
from service.bindings.install_links import Link, read_link
from service.bindings.installations import Installations
from service.sealing import Sealer
from service.storage.database import Database
from tests.unit.cli.conftest import Cli

KEY = "a-key-of-more-than-thirty-two-characters"


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDVOICE_INSTALLATIONS__KEYS__ENV", "INSTALLATION_KEYS")
    monkeypatch.setenv("INSTALLATION_KEYS", KEY)


def test_a_link_is_for_one_brand_one_app_and_some_days(cli: Cli, with_key: None) -> None:
    told = cli(
        "channel", "install-link", "slack/main", "-b", "velmora", "--url", "https://chat.example/", "--json"
    ).json
    address, _, sealed = told["url"].partition("?link=")
    assert address == "https://chat.example/install/slack/main"
    in_six_days = time.time() + 6 * 86_400
    link = read_link(Sealer([KEY]), sealed, "slack", "main", now_s=in_six_days)
    assert link == Link("slack", "main", "velmora")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["slack/none", "-b", "velmora"], "slack/main", id="no such app"),
        pytest.param(["whatsapp/main", "-b", "velmora"], "slack/main", id="not installed by accounts"),
        pytest.param(["pigeon/main", "-b", "velmora"], "pigeon", id="no such platform"),
        pytest.param(["slack/main", "-b", "velmoro"], "velmora", id="no such brand"),
    ],
)
def test_what_cannot_be_installed_is_named(cli: Cli, with_key: None, arguments: list[str], why: str) -> None:
    done = cli("channel", "install-link", *arguments)
    assert (done.code, why in done.err) == (2, True)


def test_without_a_key_no_link_is_made(cli: Cli) -> None:
    done = cli("channel", "install-link", "slack/main", "-b", "velmora")
    assert (done.code, "openssl rand -hex 32" in done.err) == (2, True)


def test_a_workspace_that_installed_the_app_is_listed_with_its_brand(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/installed.db"
    monkeypatch.setenv("BRANDVOICE_DATABASE__URL", url)

    async def install() -> None:
        db = await Database.open(url)
        found = Installations(db, dict(load_config(Path("configs"), {}).brands), Sealer([KEY]))
        await found.add("slack", "main", "velmora", Grant("T0NEW", "A workspace", {"bot_token": "xoxb-1"}))
        await db.close()

    asyncio.run(install())
    told = cli("channel", "list", "--json").json
    slack = next(one for one in told["apps"] if one["channel"] == "slack")
    assert slack["brands"]["T0NEW"] == "velmora"
