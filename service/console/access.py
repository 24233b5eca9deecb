"""Who asks, and may they: one dependency for pages and for the API.

A route says what it needs by the type of one argument: `person: Agent`, `person: Editor`, `person: Admin`, or
`person: SignedIn`. A brand in the path or the query is checked with it; what a handler learns later (the brand of a
conversation, of a body) it checks by `person.must(Role.EDITOR, brand)`.

Sessions must show on every unsafe method that the request was made by a page of ours: a token (header `X-CSRF-Token` or
form field `csrf`), and the headers by which browsers tell where a request comes from. Source: OWASP, CSRF prevention.
"""

from __future__ import annotations

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from service.console import sessions
from service.console.person import EVERY, MACHINE, Person, Role
from service.errors import AccessDenied, Forbidden, NotSignedIn
from service.security import ApiKeys
from service.storage.database import Database

__all__ = [
    "EVERY", "Access", "Admin", "Agent", "Editor", "Needs", "Person", "Role", "SignedIn", "check_origin", "is_secure",
]  # fmt: skip

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CONSOLE = "/console"
"""Below it are pages, where only people are let in; everything else takes an API key as well."""


class Access:
    """Finds out who asks; stands in `app.state.access`."""

    def __init__(self, db: Database, keys: ApiKeys) -> None:
        self._db = db
        self._keys = keys

    async def who(self, request: Request) -> Person:
        """The person or machine that asks.

        Raises:
            AccessDenied: Neither a session nor a key.
            NotSignedIn: The same, on a page.
            Forbidden: A session whose request was not made by a page of ours.
        """
        page = is_page(request)
        if page or "authorization" not in request.headers:
            person = await self.signed_in(request)
            if person is not None:
                await _check_csrf(request, person)
                return person
        if page:
            raise NotSignedIn("Sign in first.")
        if request.method not in SAFE:
            # Where no keys are set, a page of somebody else could ask this gateway in its visitor's browser.
            check_origin(request)
        self._keys.check(request.headers)
        return MACHINE

    async def signed_in(self, request: Request) -> Person | None:
        """The person whose session this browser has."""
        token = request.cookies.get(sessions.COOKIE)
        if not token:
            return None
        found = await self._db.read(lambda c: sessions.find(c, token))
        if found is None:
            return None
        person, unseen = found
        if unseen:
            await self._db.write(lambda c: sessions.seen(c, person.session), durable=False)
        return person


class Needs:
    """FastAPI dependency: whoever asks, with at least this role in the brand that is asked for."""

    def __init__(self, role: Role | None) -> None:
        self.role = role

    async def __call__(self, request: Request) -> Person:
        """The person; raises what `Access.who` does, and Forbidden."""
        access: Access = request.app.state.access
        person = await access.who(request)
        request.state.person = person
        if self.role is not None:
            brand = request.path_params.get("brand") or request.query_params.get("brand")
            person.must(self.role, brand or None)
        return person


SignedIn = Annotated[Person, Depends(Needs(None))]
Agent = Annotated[Person, Depends(Needs(Role.AGENT))]
Editor = Annotated[Person, Depends(Needs(Role.EDITOR))]
Admin = Annotated[Person, Depends(Needs(Role.ADMIN))]


def is_page(request: Request) -> bool:
    """Whether a person looks at this, not a program."""
    path = request.url.path
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def is_secure(request: Request) -> bool:
    """Whether the browser came over TLS, be it to a proxy before us: it says so where it posts."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def check_origin(request: Request) -> None:
    """Refuse what a page of somebody else made a browser send; clients that are no browsers send neither header.

    Raises:
        Forbidden: It comes from elsewhere.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if elsewhere or site not in (None, "same-origin", "none"):
        raise Forbidden("This request comes from a page of somebody else.")


async def _check_csrf(request: Request, person: Person) -> None:
    if request.method in SAFE:
        return
    check_origin(request)
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await request.form()).get("csrf")
        given = field if isinstance(field, str) else None
    if not hmac.compare_digest((given or "").encode(), person.csrf.encode()):
        raise Forbidden("This page is too old. Load it again, and repeat what you did.")


def must_be_person(person: Person) -> str:
    """The id of a person; AccessDenied for a machine, which has no account of its own."""
    if person.id is None:
        raise AccessDenied("An API key has no account of its own. Sign in.")
    return person.id
