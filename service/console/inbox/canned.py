"""Canned replies as pages and over HTTP: agents use them, editors write them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import CONSOLE, Agent, Editor, Person, Role
from service.console.pages import gettext, page_router, redirect, render
from service.console.together import together
from service.errors import RequestInvalid, brand_of
from service.people import canned

PAGE = f"{CONSOLE}/inbox/canned"
Id = Annotated[str, Path(max_length=64, description="The reply's id.")]
Field_ = Annotated[str, Form(max_length=20_000)]


class Reply(BaseModel):
    """A canned reply."""

    id: str
    brand: str
    title: str
    text: str = Field(description="`{name}` stands for who writes, `{brand}` for the brand's name.")
    changed_by: str
    changed_at: datetime


class Replies(BaseModel):
    """Canned replies."""

    replies: list[Reply]


class Written(BaseModel):
    """What is changed."""

    title: str = Field(max_length=100, description="No other of the brand has it.")
    text: str = Field(max_length=canned.MOST_CHARS)


class New(Written):
    """What is made."""

    brand: str = Field(max_length=40)


class CannedReplies:
    """What people do with canned replies."""

    def __init__(self, gateway: Gateway) -> None:
        self._db = gateway.db
        self.brands = gateway.config.brands

    async def listed(self, person: Person, brand: str | None) -> list[dict[str, Any]]:
        """Those of a brand, or of all brands that the person is an agent of."""
        brands = (brand,) if brand else person.brands(Role.AGENT, self.brands)
        return await self._db.read(lambda connection: canned.listed(connection, brands))

    async def one(self, person: Person, reply: str, role: Role) -> dict[str, Any]:
        """One of them; Forbidden without this role in its brand."""
        found = await self._db.read(lambda connection: canned.one(connection, reply))
        person.must(role, found["brand"])
        return found

    async def write(self, person: Person, brand: str, wanted: Written, reply: str | None = None) -> dict[str, Any]:
        """Make or change one."""
        if reply is not None:
            brand = (await self.one(person, reply, Role.EDITOR))["brand"]
        person.must(Role.EDITOR, brand)
        brand_of(self.brands, brand)

        def work(connection: Connection) -> dict[str, Any]:
            made = canned.write(
                connection, brand=brand, title=wanted.title, text=wanted.text, by=person.name, reply=reply
            )
            what = "canned_reply.changed" if reply else "canned_reply.made"
            audit.note(
                connection, by=person, brand=brand, action=what, subject=made["id"], detail={"title": made["title"]}
            )
            return made

        return await self._db.write(work)

    async def remove(self, person: Person, reply: str) -> None:
        """Delete one."""
        found = await self.one(person, reply, Role.EDITOR)

        def work(connection: Connection) -> None:
            canned.remove(connection, reply)
            audit.note(
                connection, by=person, brand=found["brand"], action="canned_reply.deleted", subject=reply,
                detail={"title": found["title"]},
            )  # fmt: skip

        await self._db.write(work)


def canned_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/inbox/canned` and the routes below `/v1/canned-replies`."""
    replies = CannedReplies(gateway)
    return together(_api(replies), _pages(replies))


def _api(replies: CannedReplies) -> APIRouter:
    router = APIRouter(prefix="/v1/canned-replies", tags=["Conversations"])

    @router.get("", response_model=Replies)
    async def listed(person: Agent, brand: Annotated[str | None, Query(max_length=40)] = None) -> Any:
        """Canned replies of the brands that one is an agent of, by brand and title."""
        return {"replies": await replies.listed(person, brand)}

    @router.post("", response_model=Reply, status_code=201)
    async def make(person: Editor, wanted: New) -> Any:
        """Make one."""
        return await replies.write(person, wanted.brand, wanted)

    @router.put("/{reply}", response_model=Reply)
    async def change(person: Editor, reply: Id, wanted: Written) -> Any:
        """Change title and text."""
        return await replies.write(person, "", wanted, reply)

    @router.delete("/{reply}", status_code=204)
    async def delete(person: Editor, reply: Id) -> None:
        """Delete one."""
        await replies.remove(person, reply)

    return router


def _pages(replies: CannedReplies) -> APIRouter:
    router = page_router()

    async def show(request: Request, person: Person, brand: str, *, status: int = 200, **more: object) -> Response:
        brands = person.brands(Role.AGENT, replies.brands)
        brand = brand or next(iter(brands), "")
        found = await replies.listed(person, brand) if brand else []
        values: dict[str, Any] = {"trouble": "", "title": "", "text": "", "editing": None} | more
        mine = bool(brand) and person.may(Role.EDITOR, brand)
        return render(
            request, person, "inbox/canned.html", status=status, replies=found, brands=brands, brand=brand,
            may_write=mine, **values,
        )  # fmt: skip

    @router.get("/inbox/canned")
    async def page(request: Request, person: Agent, brand: str = "") -> Response:
        """The replies of a brand, and a form for a new one."""
        return await show(request, person, brand)

    @router.get("/inbox/canned/{reply}")
    async def one(request: Request, person: Editor, reply: Id) -> Response:
        """One of them in the form."""
        found = await replies.one(person, reply, Role.EDITOR)
        return await show(request, person, found["brand"], editing=reply, title=found["title"], text=found["text"])

    @router.post("/inbox/canned")
    async def write(
        request: Request, person: Editor, brand: Field_ = "", title: Field_ = "", text: Field_ = "", reply: Field_ = ""
    ) -> Response:
        """Make or change one."""
        _ = gettext(person)
        try:
            wanted = Written.model_construct(title=title, text=text)
            made = await replies.write(person, brand, wanted, reply or None)
        except RequestInvalid as error:
            return await show(
                request, person, brand, status=400, trouble=str(error), title=title, text=text, editing=reply or None
            )
        return redirect(request, f"{PAGE}?brand={made['brand']}", _("The canned reply is kept."))

    @router.post("/inbox/canned/{reply}/delete")
    async def delete(request: Request, person: Editor, reply: Id) -> Response:
        """Delete one."""
        _ = gettext(person)
        found = await replies.one(person, reply, Role.EDITOR)
        await replies.remove(person, reply)
        return redirect(request, f"{PAGE}?brand={found['brand']}", _("The canned reply is deleted."))

    return router
