"""Signing in and out, and the links by which people choose a password."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import CONSOLE, SignedIn, check_origin, is_secure
from service.console.pages import gettext, page_router, redirect, render
from service.console.people import accounts, lockout, passwords, sessions
from service.console.person import Person
from service.console.said import told
from service.console.together import together
from service.console.words import LANGUAGES, language_of, words
from service.errors import RequestInvalid, ServiceError
from service.problems import status_of
from service.storage.database import Database

Text = Annotated[str, Form(max_length=1000)]


def sign_in_router(gateway: Gateway) -> APIRouter:
    """The pages `/console/sign-in`, `/console/sign-out` and `/console/set-up`."""
    return together(_door(gateway.db), _links(gateway.db))


def _door(db: Database) -> APIRouter:
    router = page_router()

    @router.get("/sign-in")
    async def sign_in_page(request: Request, next: str = "") -> Response:
        """The form."""
        if await request.app.state.access.signed_in(request) is not None:
            return redirect(request, _own_path(next))
        return render(request, None, "accounts/sign_in.html", next=next, email="", trouble="")

    @router.post("/sign-in")
    async def sign_in(request: Request, email: Text = "", password: Text = "", next: Text = "") -> Response:
        """Look at address and password."""
        check_origin(request)
        wait_s, person = await _right_person(db, request, email, password)
        if person is None:
            return _refused(request, wait_s, next=next, email=email)
        return await _enter(db, request, person, _own_path(next))

    @router.post("/sign-out")
    async def sign_out(request: Request, person: SignedIn) -> Response:
        """End this session."""
        await db.write(lambda c: sessions.end(c, person.id or "", session=person.session))
        answer = redirect(request, f"{CONSOLE}/sign-in")
        answer.delete_cookie(sessions.COOKIE, path="/")
        return answer

    return router


def _links(db: Database) -> APIRouter:
    router = page_router()

    @router.get("/set-up")
    async def set_up_page(request: Request, link: str = "") -> Response:
        """The form in which a password is chosen; looking at it uses nothing up."""
        found = await db.read(lambda c: accounts.read_link(c, link))
        return _set_up_form(request, found, link)

    @router.post("/set-up")
    async def set_up(
        request: Request, link: Text = "", email: Text = "", name: Text = "", password: Text = "", again: Text = "",
        language: Text = "",
    ) -> Response:  # fmt: skip
        """Take the password, use the link up, and sign in."""
        check_origin(request)
        found = await db.read(lambda c: accounts.read_link(c, link))
        language = language if language in LANGUAGES else language_of(request.headers.get("accept-language", ""))
        try:
            passwords.check_rules(password)
            passwords.check_same(password, again)
            kept = await passwords.hashed(password)

            def use(connection: Connection) -> str:
                made = accounts.use_link(connection, link, password=kept, email=email, name=name, language=language)
                sessions.end(connection, made.id)
                return made.id

            person = await db.write(use)
        except RequestInvalid as error:
            return _set_up_form(request, found, link, error=error, email=email, name=name)
        # Whoever is the first one has an empty inbox; what to try stands on the overview.
        first = found.account is None
        return await _enter(db, request, person, f"{CONSOLE}/overview" if first else CONSOLE)

    return router


def _refused(request: Request, wait_s: float, **typed: str) -> Response:
    _, seconds = gettext(None, request), int(wait_s) + 1
    trouble = _("Address or password is not right.")
    if wait_s:
        trouble = _(lockout.WAIT) % {"seconds": seconds}
    status = 429 if wait_s else 401
    answer = render(request, None, "accounts/sign_in.html", status=status, trouble=trouble, **typed)
    if wait_s:
        answer.headers["Retry-After"] = str(seconds)
    return answer


async def _right_person(db: Database, request: Request, typed: str, password: str) -> tuple[float, str | None]:
    """Seconds to wait, or who it is; neither where the password is not right."""
    email = typed.strip().lower()
    account, address = lockout.of_account(email), lockout.of_address(request.client.host if request.client else "")
    if wait_s := await db.write(lambda c: lockout.attempt(c, account, address)):
        return wait_s, None
    kept = await db.read(lambda c: accounts.password_of(c, email))
    if not await passwords.matches(kept[1] if kept else None, password) or kept is None:
        return 0.0, None
    await db.write(lambda c: lockout.succeeded(c, account, address))
    return 0.0, kept[0]


async def _enter(db: Database, request: Request, person: str, path: str) -> Response:
    """Begin a session, instead of any that the browser had."""
    client, before = request.headers.get("user-agent", ""), request.cookies.get(sessions.COOKIE)

    def begin(connection: Connection) -> str:
        who = accounts.account(connection, person).as_person()
        audit.note(connection, by=who, action="session.began", subject=who.email)
        return sessions.begin(connection, person, client=client, instead_of=before)

    token = await db.write(begin)
    answer = redirect(request, path)
    answer.set_cookie(
        sessions.COOKIE, token, max_age=int(sessions.LONGEST.total_seconds()), path="/", httponly=True,
        secure=is_secure(request), samesite="lax",
    )  # fmt: skip
    return answer


def _set_up_form(
    request: Request, link: accounts.Link, token: str, *, error: ServiceError | None = None, **typed: str
) -> Response:
    person: Person | None = link.account.as_person() if link.account else None
    language = person.language if person else language_of(request.headers.get("accept-language", ""))
    return render(
        request, None, "accounts/set_up.html", status=status_of(error) if error else 200,
        language=language, link=token, who=person, trouble=told(error, words(language).gettext) if error else "",
        shortest=passwords.SHORTEST, email=typed.get("email", ""), name=typed.get("name", ""),
    )  # fmt: skip


def _own_path(wanted: str) -> str:
    """Where to go after signing in: only ever a page of the console's own."""
    parts = urlsplit(wanted)
    inside = parts.path == CONSOLE or parts.path.startswith(f"{CONSOLE}/")
    plain = "\\" not in wanted and not any(ord(c) < 33 for c in wanted)
    return wanted if inside and plain and not parts.scheme and not parts.netloc else CONSOLE
