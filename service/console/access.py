"""Who asks, and may they: one dependency for pages and for the API.

A route says what it needs by the type of one argument: `person: Agent`, `person: Editor`, `person: Admin`, or
`person: SignedIn`. A brand in the path or the query is checked with it, and so is the brand of whatever the path names
by its id (`OF_BRAND`: a conversation, a turn). What a handler learns from a body it checks by
`person.must(Role.EDITOR, brand)`; lists show the brands of `person.brands(...)`.

Sessions must show on every unsafe method that the request was made by a page of ours: a token (header `X-CSRF-Token` or
form field `csrf`), and the headers by which browsers tell where a request comes from. Source: OWASP, CSRF prevention.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Connection, select

from service.console.people import sessions
from service.console.person import EVERY, MACHINE, Person, Role
from service.console.said import Said, _
from service.errors import AccessDenied, Forbidden, NotSignedIn, RequestInvalid
from service.security import ApiKeys, origin_allowed
from service.storage.database import Database
from service.storage.tables import conversations, turns

__all__ = [
    "EVERY", "Access", "Admin", "Agent", "Editor", "Needs", "Person", "Role", "SignedIn", "check_origin", "is_secure",
]  # fmt: skip

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_IN_FORM = 210_000_000
"""Bytes of a form with files; `service.intake.uploads` says how much of it may be files."""
CONSOLE = "/console"
"""Below it are pages, where only people are let in; everything else takes an API key as well."""
BY_ITSELF = "x-by-itself"
"""Header of what a page asks without anybody doing something: a page that is left open keeps nobody signed in."""


def _of_conversation(connection: Connection, conversation: str) -> str | None:
    return connection.execute(select(conversations.c.brand).where(conversations.c.id == conversation)).scalar()


def _of_turn(connection: Connection, turn: str) -> str | None:
    of = select(conversations.c.brand).join(turns, turns.c.conversation_id == conversations.c.id)
    return connection.execute(of.where(turns.c.id == turn)).scalar()


OF_BRAND: dict[str, Callable[[Connection, str], str | None]] = {"conversation": _of_conversation, "turn": _of_turn}
"""Parameters of paths to the brand of what they name; None where there is no such thing. A story adds its own."""


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
            raise NotSignedIn(_("Sign in first."))
        if request.method not in SAFE:
            # Where no keys are set, a page of somebody else could ask this gateway in its visitor's browser.
            check_origin(request)
        self._keys.check(request.headers)
        return MACHINE

    async def brand_of(self, request: Request) -> str | None:
        """The brand that a request is about, as far as its address tells."""
        # The path goes first: a brand in the query must not open what the path names.
        for name, brand_of in OF_BRAND.items():
            value = request.path_params.get(name)
            if value is not None:
                return await self._db.read(lambda c, brand_of=brand_of, value=value: brand_of(c, value))  # type: ignore[misc]
        said = request.path_params.get("brand") or request.query_params.get("brand")
        return str(said) if said else None

    async def signed_in(self, request: Request) -> Person | None:
        """The person whose session this browser has."""
        token = request.cookies.get(sessions.COOKIE)
        if not token:
            return None
        found = await self._db.read(lambda c: sessions.find(c, token))
        if found is None:
            return None
        person, unseen = found
        if unseen and BY_ITSELF not in request.headers:
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
            # Whoever may do it everywhere need not be asked where.
            person.must(self.role, None if person.may_everywhere(self.role) else await access.brand_of(request))
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
    if not origin_allowed(None, origin, request.headers.get("host")) or site not in (None, "same-origin", "none"):
        raise Forbidden(_("This request comes from a page of somebody else."))


def check_size(request: Request, most: int = MOST_IN_FORM) -> None:
    """Refuse a form with files before it is read: all of it is put onto the disk.

    Raises:
        RequestInvalid: It is larger, or does not say how large it is.
    """
    stated = request.headers.get("content-length", "")
    if not stated.isdecimal() or int(stated) > most:
        text = _("All files together may have at most %(most)s MB. Send them in parts.")
        raise RequestInvalid(Said(text, most=most // 1_000_000), code="too_large")


async def _check_csrf(request: Request, person: Person) -> None:
    if request.method in SAFE:
        return
    check_origin(request)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        check_size(request)
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await request.form()).get("csrf")
        given = field if isinstance(field, str) else None
    if not hmac.compare_digest((given or "").encode(), person.csrf.encode()):
        raise Forbidden(_("This page is too old. Load it again, and repeat what you did."))


def must_be_person(person: Person) -> str:
    """The id of a person; AccessDenied for a machine, which has no account of its own."""
    if person.id is None:
        raise AccessDenied(_("An API key has no account of its own. Sign in."))
    return person.id


def speaks_as(person: Person, given: str | None) -> str:
    """The name under which something is done: a person's own, or the one that a program gives.

    Raises:
        RequestInvalid: A program that gives none.
    """
    if person.id is not None:
        return person.name
    if not given:
        raise RequestInvalid(_("by: with an API key, say who does it."), param="by")
    return given


def author(person: Person, name: str) -> Person | str:
    """Whom the log of changes names: the person, or the name that a program gave."""
    return person if person.id is not None else name
