"""`brandvoice people`: accounts, in the database itself; whoever reaches it needs no role."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import Failure
from service.cli.gateway import address
from service.cli.waiting import in_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.console.people.accounts import Account
    from service.storage.database import Database

T = TypeVar("T")
BY = "command line"


def run_list(*, as_json: bool) -> None:
    """List people."""
    from service.console.people.accounts import accounts

    async def stored(db: Database) -> list[Account]:
        return await db.read(accounts)

    none: list[Account] = []
    found = [_shown(one) for one in in_database(open_deployment(), stored, none)]
    if as_json:
        output.data({"people": found})
    elif not found:
        output.note("nobody yet; the first admin is made by the link that `brandvoice serve` shows")
    else:
        rows = [[one["email"], one["name"], _roles(one["roles"]), one["state"]] for one in found]
        output.table(["email", "name", "roles", "state"], rows)


def run_invite(email: str, name: str, role: str, brand: str, *, url: str | None, as_json: bool) -> None:
    """Let somebody in, and print the link."""
    from service.console.people import accounts
    from service.console.person import EVERY, Role

    deployment = open_deployment()
    if brand != EVERY:
        deployment.brand(brand)
    roles = {brand: Role(role)}
    made, token = _write(deployment, lambda c: accounts.invite(c, by=BY, email=email, name=name, roles=roles))
    link = _link(deployment, url, token) if token else None
    if as_json:
        output.data({"person": _shown(made), "link": link})
    elif link:
        output.note(f"{made.name} chooses a password here; it works once, for seven days:")
        output.line(link)
    else:
        output.note(f"{made.name} has the role now, and signs in as before")


def run_disable(email: str, *, disabled: bool) -> None:
    """Keep out, or let in again."""
    from service.console.people import accounts, sessions

    def work(connection: Connection) -> str:
        person = _person(connection, email)
        accounts.set_disabled(connection, by=BY, person=person.id, disabled=disabled)
        sessions.end(connection, person.id)
        return person.name

    name = _write(open_deployment(), work)
    output.note(f"{name} cannot sign in any more" if disabled else f"{name} can sign in again")


def run_reset(email: str, *, url: str | None, as_json: bool) -> None:
    """Print a link for a new password."""
    from service.console.people import accounts

    deployment = open_deployment()
    token = _write(deployment, lambda c: accounts.reset(c, by=BY, person=_person(c, email).id))
    link = _link(deployment, url, token)
    if as_json:
        output.data({"link": link})
    else:
        output.note("a new password is chosen here; it works once, and until then the old one holds:")
        output.line(link)


def _write(deployment: Deployment, work: Callable[[Connection], T]) -> T:
    async def run(db: Database) -> T | None:
        return await db.write(work)

    done = in_database(deployment, run, None)
    if done is None:
        raise Failure(
            "there is no database yet",
            "no gateway has run on this state folder",
            "brandvoice demo, or brandvoice serve",
        )
    return done


def _person(connection: Connection, email: str) -> Account:
    from service.console.people import accounts

    found = accounts.accounts(connection, email=accounts.email_of(email))
    if not found:
        raise Failure(f"nobody signs in with {email}", "no account has this address", "brandvoice people list")
    return found[0]


def _link(deployment: Deployment, url: str | None, token: str) -> str:
    from service.console.people import links

    return links.address(url or os.environ.get("BRANDVOICE_URL") or address(deployment.config), token)


def _shown(account: Account) -> dict[str, Any]:
    state = "disabled" if account.disabled else "active" if account.joined else "invited"
    roles = {brand: role.value for brand, role in account.roles.items()}
    return {"id": account.id, "email": account.email, "name": account.name, "roles": roles, "state": state}


def _roles(roles: dict[str, str]) -> str:
    return ", ".join(f"{brand}: {role}" for brand, role in roles.items()) or "none"
