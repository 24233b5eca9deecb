"""People at a real gateway: set up, signed in, each with a browser of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi.testclient import TestClient
from sqlalchemy import Connection

from service.console.people import accounts
from service.console.person import EVERY, Role
from tests.unit.service.doors import Door

PASSWORD = "four words do well"
T = TypeVar("T")


@dataclass
class Browser:
    """A browser at this gateway; it brings the session's token with whatever it changes."""

    client: TestClient

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, follow_redirects=False, **more)

    def send(self, path: str, method: str = "POST", *, csrf: str | None = None, **more: Any) -> Any:
        token = self.csrf() if csrf is None else csrf
        headers = {"X-CSRF-Token": token} | dict(more.pop("headers", {}))
        return self.client.request(method, path, headers=headers, follow_redirects=False, **more)

    def csrf(self) -> str:
        own = self.client.get("/v1/me")
        return str(own.json().get("csrf", "")) if own.status_code == 200 else ""

    def sign_in(self, email: str, password: str = PASSWORD) -> Any:
        return self.client.post("/console/sign-in", data={"email": email, "password": password}, follow_redirects=False)


def browser(door: Door) -> Browser:
    """Another one, without cookies."""
    fresh = TestClient(door.client.app)
    # The same running application, so no second lifespan.
    fresh.portal = door.client.portal
    return Browser(fresh)


def in_database(door: Door, work: Any) -> Any:
    """What a function of a connection returns."""
    portal = door.client.portal
    assert portal is not None
    return portal.call(lambda: door.gateway.db.write(work))


def seat(door: Door, roles: Mapping[str, Role], email: str) -> Browser:
    """A person with these roles, signed in."""

    def make(connection: Connection) -> str | None:
        return accounts.invite(connection, by="test", email=email, name=email.split("@")[0].title(), roles=roles)[1]

    token = in_database(door, make)
    one = browser(door)
    answer = one.client.post(
        "/console/set-up", data={"link": token, "password": PASSWORD, "again": PASSWORD}, follow_redirects=False
    )
    assert answer.status_code == 303, answer.text
    return one


def admin(door: Door) -> Browser:
    """The first one, made by the set-up link."""
    token = in_database(door, accounts.set_up_link)
    one = browser(door)
    fields = {"link": token, "email": "Anna@example.com", "name": "Anna", "password": PASSWORD, "again": PASSWORD}
    answer = one.client.post("/console/set-up", data=fields, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return one


def link_in(page: str) -> str:
    """The token of the link that a page shows."""
    found = re.search(r"set-up\?link=([\w-]+)", page)
    assert found, page
    return found[1]


__all__ = ["EVERY", "PASSWORD", "Browser", "Role", "admin", "browser", "in_database", "link_in", "seat"]
