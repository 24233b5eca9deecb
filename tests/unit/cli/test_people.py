"""`brandvoice people`: accounts without a gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

from service.console.people import accounts
from service.storage.database import Database
from tests.unit.cli.conftest import Cli


def begun(home: Path) -> str | None:
    """A database, as a gateway leaves it; the token of the set-up link."""
    home.mkdir(parents=True, exist_ok=True)

    async def make() -> str | None:
        db = await Database.open(f"sqlite:///{home}/brandvoice.db")
        try:
            return await db.write(accounts.set_up_link)
        finally:
            await db.close()

    return asyncio.run(make())


def test_before_any_gateway_ran_there_is_nobody(cli: Cli) -> None:
    assert cli("people", "list", "--json").json == {"people": []}
    assert cli("people", "invite", "anna@example.com", "--name", "Anna").code == 1


def test_an_admin_is_made_who_then_loses_the_password_and_goes(cli: Cli, home: Path) -> None:
    assert begun(home)
    made = cli(
        "people", "invite", "Anna@example.com", "--name", "Anna", "--role", "admin", "--url", "https://chat.example/",
        "--json",
    ).json  # fmt: skip
    assert made["link"].startswith("https://chat.example/console/set-up?link=")
    assert made["person"] | {"id": ""} == {
        "id": "", "email": "anna@example.com", "name": "Anna", "roles": {"*": "admin"}, "state": "invited",
    }  # fmt: skip
    again = cli("people", "reset", "anna@example.com", "--json").json["link"]
    assert again.partition("link=")[2] != made["link"].partition("link=")[2]
    assert cli("people", "disable", "anna@example.com").code == 0
    assert cli("people", "list", "--json").json["people"][0]["state"] == "disabled"
    assert cli("people", "reset", "anna@example.com").code == 1
    assert cli("people", "enable", "anna@example.com").code == 0
    assert "invited" in cli("people", "list").out


def test_what_is_wrong_is_said(cli: Cli, home: Path) -> None:
    begun(home)
    assert "nobody signs in with" in cli("people", "disable", "nobody@example.com").err
    assert cli("people", "invite", "no address", "--name", "Anna").code == 1
    assert cli("people", "invite", "anna@example.com", "--name", "Anna", "-b", "velmore").code == 2
