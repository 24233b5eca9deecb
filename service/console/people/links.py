"""Addresses of the links by which people choose a password, and the one that a new deployment begins with."""

from __future__ import annotations

from service.console.access import CONSOLE
from service.console.people import accounts
from service.storage.database import Database


def address(base: str, token: str) -> str:
    """Where a link leads, on the gateway at this address."""
    return f"{base.rstrip('/')}{CONSOLE}/set-up?link={token}"


async def first(db: Database, base: str) -> str | None:
    """The address at which the first admin is made; None where there is one."""
    token = await db.write(accounts.set_up_link)
    return address(base, token) if token else None
