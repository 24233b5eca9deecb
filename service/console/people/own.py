"""One's own account: name, language, password, sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import CONSOLE, Person, Role, SignedIn, must_be_person
from service.console.pages import gettext, page_router, redirect, render
from service.console.people import accounts, lockout, passwords, sessions
from service.console.said import Said, _, told
from service.console.together import together
from service.console.words import LANGUAGES, words
from service.errors import RequestInvalid, SlowDown
from service.storage.database import Database

Text = Annotated[str, Form(max_length=1000)]


class Own(BaseModel):
    """Who asks."""

    id: str | None = Field(description="null for an API key.")
    name: str
    email: str
    language: str
    roles: dict[str, Role] = Field(description="By brand; `*` is all brands.")
    csrf: str = Field(description="To be sent as `X-CSRF-Token` with every change; empty for an API key.")


class OwnChange(BaseModel):
    """What changes; what is left out stays."""

    name: str | None = Field(default=None, description="As customers read it.")
    language: str | None = Field(default=None, description="Of the console.", examples=["id"])


class PasswordChange(BaseModel):
    """A new password; all other sessions end."""

    old: str = Field(max_length=1000)
    new: str = Field(max_length=1000, description="12 to 200 characters.")


class SessionShown(BaseModel):
    """A browser that is signed in."""

    id: str
    client: str = Field(description="What the browser calls itself.")
    created_at: datetime
    seen_at: datetime = Field(description="Of its last request, to the minute.")
    this: bool = Field(description="Whether it is the one that asks.")


class Sessions(BaseModel):
    """Browsers that are signed in."""

    sessions: list[SessionShown]


def own_router(gateway: Gateway) -> APIRouter:
    """The page `/console/account` and the routes below `/v1/me`."""
    return together(_api(gateway.db), _pages(gateway.db))


def _api(db: Database) -> APIRouter:
    router = APIRouter(prefix="/v1/me", tags=["People"])

    @router.get("", response_model=Own)
    async def me(person: SignedIn) -> Any:
        """Who asks, and what they may do."""
        return {name: getattr(person, name) for name in Own.model_fields}

    @router.patch("", status_code=204)
    async def change(person: SignedIn, change: OwnChange) -> None:
        """Change one's own name or language."""
        await _change(db, person, change)

    @router.put("/password", status_code=204)
    async def change_password(person: SignedIn, change: PasswordChange) -> None:
        """Change one's own password; all other sessions end."""
        await _change_password(db, person, change.old, change.new)

    @router.get("/sessions", response_model=Sessions)
    async def listed(person: SignedIn) -> Any:
        """One's own open sessions, the one used last first."""
        return {"sessions": await _sessions(db, person)}

    @router.delete("/sessions", status_code=204)
    async def end_others(person: SignedIn) -> None:
        """End all of one's own sessions but the one that asks."""
        await _end_others(db, person)

    return router


def _pages(db: Database) -> APIRouter:
    router = page_router()

    async def show(request: Request, person: Person, *, status: int = 200, trouble: str = "") -> Response:
        found = await _sessions(db, person)
        return render(
            request, person, "accounts/own.html", status=status, sessions=found, trouble=trouble,
            shortest=passwords.SHORTEST,
        )  # fmt: skip

    @router.get("/account")
    async def page(request: Request, person: SignedIn) -> Response:
        """Own name, language, password and sessions."""
        return await show(request, person)

    @router.post("/account")
    async def change(request: Request, person: SignedIn, name: Text = "", language: Text = "") -> Response:
        """Change name and language."""
        try:
            await _change(db, person, OwnChange(name=name, language=language))
        except RequestInvalid as error:
            return await show(request, person, status=400, trouble=told(error, gettext(person)))
        return redirect(request, f"{CONSOLE}/account", words(language).gettext("Your account is changed."))

    @router.post("/account/password")
    async def change_password(
        request: Request, person: SignedIn, old: Text = "", new: Text = "", again: Text = ""
    ) -> Response:
        """Change the password."""
        try:
            passwords.check_same(new, again)
            await _change_password(db, person, old, new)
        except (RequestInvalid, SlowDown) as error:
            return await show(request, person, status=400, trouble=told(error, gettext(person)))
        _ = gettext(person)
        said = _("Your password is changed, and all other sessions have ended.")
        return redirect(request, f"{CONSOLE}/account", said)

    @router.post("/account/sessions/end")
    async def end_others(request: Request, person: SignedIn) -> Response:
        """Sign out everywhere else."""
        _ = gettext(person)
        await _end_others(db, person)
        return redirect(request, f"{CONSOLE}/account", _("All other sessions have ended."))

    return router


async def _change(db: Database, person: Person, change: OwnChange) -> None:
    must_be_person(person)
    if change.language is not None and change.language not in LANGUAGES:
        raise RequestInvalid(_("The console does not speak this language."), param="language")
    if change.name is not None or change.language is not None:
        await db.write(lambda c: accounts.change_own(c, person, name=change.name, language=change.language))


async def _change_password(db: Database, person: Person, old: str, new: str) -> None:
    """Whoever found an open browser does not know the old one, and is slowed down as at the door."""
    own = must_be_person(person)
    passwords.check_rules(new)
    account = lockout.of_account(person.email)
    if wait_s := await db.write(lambda c: lockout.attempt(c, account)):
        raise SlowDown(Said(lockout.WAIT, seconds=int(wait_s) + 1), retry_after_s=int(wait_s) + 1)
    kept = await db.read(lambda c: accounts.password_of(c, person.email))
    if kept is None or not await passwords.matches(kept[1], old):
        raise RequestInvalid(_("The old password is not right."), param="old")
    made = await passwords.hashed(new)

    def work(connection: Connection) -> None:
        lockout.succeeded(connection, account, account)
        accounts.change_own(connection, person, password=made)
        sessions.end(connection, own, other_than=person.session)

    await db.write(work)


async def _sessions(db: Database, person: Person) -> list[SessionShown]:
    own = must_be_person(person)
    found = await db.read(lambda c: sessions.listed(c, own))
    return [
        SessionShown(
            id=one.id[:16], client=one.client, created_at=one.created_at, seen_at=one.seen_at,
            this=one.id == person.session,
        )
        for one in found
    ]  # fmt: skip


async def _end_others(db: Database, person: Person) -> None:
    own = must_be_person(person)

    def work(connection: Connection) -> None:
        sessions.end(connection, own, other_than=person.session)
        audit.note(connection, by=person, action="session.ended", subject=person.email, detail={"which": "all others"})

    await db.write(work)
