"""People: who works here, in which brands and as what; invitations, new passwords, keeping people out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from service.bootstrap import Gateway
from service.console.access import CONSOLE, EVERY, Admin, Person, Role
from service.console.pages import gettext, page_router, redirect, render
from service.console.people import accounts, links, sessions
from service.console.people.accounts import Account
from service.console.said import _, told
from service.console.together import together
from service.console.words import LANGUAGES
from service.errors import BrandUnknown, Forbidden, RequestInvalid
from service.storage.database import Database

Id = Annotated[str, Path(max_length=32, description="The person's id.")]
Text = Annotated[str, Form(max_length=300)]


class PersonShown(BaseModel):
    """A person who works here."""

    id: str
    email: str
    name: str = Field(description="As customers read it.")
    language: str
    roles: dict[str, Role] = Field(description="By brand; `*` is all brands.")
    disabled: bool
    joined: bool = Field(description="Whether they have chosen a password.")
    created_at: datetime


class PeopleShown(BaseModel):
    """People."""

    people: list[PersonShown]


class Invitation(BaseModel):
    """Whom to let in."""

    email: str = Field(max_length=200, examples=["anna@example.com"])
    name: str = Field(max_length=100, description="As customers will read it.")
    roles: dict[str, Role] = Field(min_length=1, description="By brand; `*` is all brands.")
    language: str = Field(default="en", description="Of the console.")


class Invited(BaseModel):
    """What it came to."""

    person: PersonShown
    link: str | None = Field(description="Where they choose a password, once; null where they have one.")


class Roles(BaseModel):
    """New roles; brands that are not named stay as they are."""

    roles: dict[str, Role | None] = Field(description="By brand; `*` is all brands; null takes the role away.")


class NewLink(BaseModel):
    """A link, shown this once."""

    link: str


def people_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/people` and the routes below `/v1/people`."""
    team = Team(gateway)
    return together(_api(team), _list_page(team), _person_page(team))


class Team:
    """What admins do with accounts."""

    def __init__(self, gateway: Gateway) -> None:
        self._db: Database = gateway.db
        self.brands = gateway.config.brands

    async def listed(self, by: Person) -> list[Account]:
        """People with a role where `by` is an admin; all of them for an admin of all brands."""
        found = await self._db.read(accounts.accounts)
        everywhere = by.may_everywhere(Role.ADMIN)
        return [one for one in found if everywhere or any(by.may(Role.ADMIN, brand) for brand in one.roles)]

    async def one(self, by: Person, person: str) -> Account:
        """One of them; raises Forbidden where `by` may not see them."""
        found = await self._db.read(lambda c: accounts.account(c, person))
        if not (by.may_everywhere(Role.ADMIN) or any(by.may(Role.ADMIN, brand) for brand in found.roles)):
            raise Forbidden(_("You are no admin where this person works."))
        return found

    async def invite(self, by: Person, wanted: Invitation) -> tuple[Account, str | None]:
        """Let somebody in; see `accounts.invite`."""
        self._known(wanted.roles)
        if wanted.language not in LANGUAGES:
            raise RequestInvalid(_("The console does not speak this language."), param="language")
        return await self._db.write(
            lambda c: accounts.invite(
                c, by=by, email=wanted.email, name=wanted.name, roles=wanted.roles, language=wanted.language
            )
        )

    async def change_roles(self, by: Person, person: str, roles: dict[str, Role | None]) -> Account:
        """See `accounts.change_roles`."""
        await self.one(by, person)
        self._known(brand for brand, role in roles.items() if role is not None)
        return await self._db.write(lambda c: accounts.change_roles(c, by=by, person=person, roles=roles))

    async def set_disabled(self, by: Person, person: str, *, disabled: bool) -> Account:
        """See `accounts.set_disabled`; their sessions end."""

        def work(connection: Connection) -> Account:
            made = accounts.set_disabled(connection, by=by, person=person, disabled=disabled)
            sessions.end(connection, person)
            return made

        return await self._db.write(work)

    async def reset(self, by: Person, person: str) -> str:
        """See `accounts.reset`."""
        return await self._db.write(lambda c: accounts.reset(c, by=by, person=person))

    def _known(self, brands: Any) -> None:
        for brand in brands:
            if brand != EVERY and brand not in self.brands:
                raise BrandUnknown(f"There is no brand {brand!r}.")


def _api(team: Team) -> APIRouter:
    router = APIRouter(prefix="/v1/people", tags=["People"])

    @router.get("", response_model=PeopleShown)
    async def listed(person: Admin) -> Any:
        """People who work in the brands of which one is an admin."""
        return {"people": await team.listed(person)}

    @router.post("", response_model=Invited, status_code=201)
    async def invite(person: Admin, wanted: Invitation, request: Request) -> Any:
        """Let somebody in; the link is theirs, and shown this once."""
        made, token = await team.invite(person, wanted)
        return {"person": made, "link": link_of(request, token) if token else None}

    # `who` is the person whom it is about; `person` the one who asks.
    @router.get("/{who}", response_model=PersonShown)
    async def one(person: Admin, who: Id) -> Any:
        """One person."""
        return await team.one(person, who)

    @router.put("/{who}/roles", response_model=PersonShown)
    async def change_roles(person: Admin, who: Id, change: Roles) -> Any:
        """Give or take roles; they hold from the next request on."""
        return await team.change_roles(person, who, change.roles)

    @router.post("/{who}/disable", response_model=PersonShown)
    async def disable(person: Admin, who: Id) -> Any:
        """Keep a person out; their sessions end at once."""
        return await team.set_disabled(person, who, disabled=True)

    @router.post("/{who}/enable", response_model=PersonShown)
    async def enable(person: Admin, who: Id) -> Any:
        """Let a person in again, who signs in as before."""
        return await team.set_disabled(person, who, disabled=False)

    @router.post("/{who}/reset", response_model=NewLink)
    async def reset(person: Admin, who: Id, request: Request) -> Any:
        """Make a link by which a person chooses a new password; it works once, and any earlier one no more."""
        return {"link": link_of(request, await team.reset(person, who))}

    return router


def _list_page(team: Team) -> APIRouter:
    router = page_router()

    async def show(request: Request, by: Person, *, status: int = 200, **more: object) -> Response:
        values: dict[str, Any] = {"trouble": "", "email": "", "name": "", "link": None, "linked": None} | more
        found = await team.listed(by)
        brands = by.brands(Role.ADMIN, team.brands)
        return render(request, by, "accounts/people.html", status=status, people=found, brands=brands, **values)

    @router.get("/people")
    async def page(request: Request, person: Admin) -> Response:
        """Who works here."""
        return await show(request, person)

    @router.post("/people")
    async def invite(
        request: Request, person: Admin, email: Text = "", name: Text = "", brand: Text = "", role: Text = ""
    ) -> Response:
        """Let somebody in, and show the link."""
        _ = gettext(person)
        try:
            wanted = Invitation(email=email, name=name, roles={brand: _role(role)}, language=person.language)
            made, token = await team.invite(person, wanted)
        except (RequestInvalid, Forbidden) as error:
            return await show(request, person, status=400, trouble=told(error, _), email=email, name=name)
        if token is None:
            return redirect(request, f"{CONSOLE}/people/{made.id}", _("They have this role now."))
        return await show(request, person, link=link_of(request, token), linked=made)

    return router


def _person_page(team: Team) -> APIRouter:
    router = page_router()

    async def show_one(request: Request, by: Person, who: str, link: str | None = None) -> Response:
        found = await team.one(by, who)
        return render(
            request,
            by,
            "accounts/person.html",
            who=found,
            brands=by.brands(Role.ADMIN, team.brands),
            mine=accounts.governs(by, found.roles),
            link=link,
        )

    @router.get("/people/{who}")
    async def one(request: Request, person: Admin, who: Id) -> Response:
        """One person: roles, new password, keep out."""
        return await show_one(request, person, who)

    @router.post("/people/{who}/roles")
    async def change_roles(request: Request, person: Admin, who: Id, brand: Text = "", role: Text = "") -> Response:
        """Give or take one role."""
        _ = gettext(person)
        await team.change_roles(person, who, {brand: _role(role) if role else None})
        return redirect(request, f"{CONSOLE}/people/{who}", _("The roles are changed."))

    @router.post("/people/{who}/disable")
    async def disable(request: Request, person: Admin, who: Id) -> Response:
        """Keep out."""
        made = await team.set_disabled(person, who, disabled=True)
        _ = gettext(person)
        said = _("%(name)s cannot sign in any more.") % {"name": made.name}
        return redirect(request, f"{CONSOLE}/people/{who}", said)

    @router.post("/people/{who}/enable")
    async def enable(request: Request, person: Admin, who: Id) -> Response:
        """Let in again."""
        made = await team.set_disabled(person, who, disabled=False)
        _ = gettext(person)
        said = _("%(name)s can sign in again.") % {"name": made.name}
        return redirect(request, f"{CONSOLE}/people/{who}", said)

    @router.post("/people/{who}/reset")
    async def reset(request: Request, person: Admin, who: Id) -> Response:
        """Show a link for a new password."""
        return await show_one(request, person, who, link=link_of(request, await team.reset(person, who)))

    return router


def link_of(request: Request, token: str) -> str:
    """The address of a link, as the browser that asks names this gateway."""
    # The browser's own word for where it is: a proxy before us may have another scheme.
    return links.address(request.headers.get("origin") or str(request.base_url), token)


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError as error:
        raise RequestInvalid(_("A role is agent, editor or admin."), param="role") from error
