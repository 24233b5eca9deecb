"""The inbox: conversations of all channels as they come, one of them with all that was said, and what a person does.

The same over HTTP is `/v1/conversations`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Header, Path, Request
from fastapi.responses import Response

from service.bootstrap import Gateway
from service.browser import FORM_HEADERS
from service.console.access import CONSOLE, Agent, Person, Role, must_be_person
from service.console.inbox.view import TABS, Filter, is_person, read_filter, rows_of, thread_of, version
from service.console.pages import page_router, redirect, render
from service.console.together import together
from service.conversation.takeover import Change
from service.errors import RequestInvalid
from service.people import canned
from service.people.lint import VoiceLint
from service.people.listing import count_unanswered
from service.storage.ids import fresh_id

AT_ONCE = 40
EVERY_S = 3
"""How often a page asks what changed."""
SEEN = "X-Seen"
"""The version that a page has; the answer's header says which it has from now on."""
MOST_NOTE = 4000

Id = Annotated[str, Path(max_length=64)]
Words = Annotated[str, Form(max_length=100_000)]
Seen = Annotated[str, Header(alias=SEEN, max_length=64)]


def _chosen(show: str = "", brand: str = "", channel: str = "", state: str = "", text: str = "") -> Filter:
    return read_filter(show, brand, channel, state, text)


Chosen = Annotated[Filter, Depends(_chosen)]


class Inbox:
    """What the pages need of the gateway."""

    def __init__(self, gateway: Gateway, lint: VoiceLint) -> None:
        self.gateway = gateway
        self.desk = gateway.desk
        self.lint = lint
        self.brands = gateway.config.brands
        self.channels = tuple(
            sorted({"web", *(one.channel for brand in self.brands.values() for one in brand.channels)})
        )

    async def list_values(self, person: Person, chosen: Filter, cursor: str | None = None) -> dict[str, Any]:
        """What the list shows, with its version."""
        if chosen.brand:
            person.must(Role.AGENT, chosen.brand)
        mine = person.brands(Role.AGENT, self.brands)
        found = await self.desk.listed(chosen.wanted(mine, must_be_person(person)), cursor=cursor, limit=AT_ONCE)
        waiting = await self.gateway.db.read(lambda connection: count_unanswered(connection, mine))
        rows = rows_of(found.conversations)
        return {
            "rows": rows, "next": found.next, "waiting": waiting, "chosen": chosen, "cursor": cursor, "tabs": TABS,
            "brands": mine, "channels": self.channels, "every_s": EVERY_S,
            "seen": version([one.version for one in rows], found.next, waiting),
        }  # fmt: skip

    async def thread_values(self, person: Person, conversation: str) -> dict[str, Any]:
        """What a conversation's page shows, with its version."""
        shown = await self.desk.shown(conversation)
        standing = {key: shown[key] for key in ("id", "state", "owner", "owner_id", "since", "handoffs")}
        return {
            "conversation": shown, "items": thread_of(shown), "mine": shown["owner_id"] == person.id,
            "standing": version(standing), "seen": version(shown), "is_person": is_person, "every_s": EVERY_S,
        }  # fmt: skip

    async def canned_for(self, person: Person, brand: str) -> list[Mapping[str, str]]:
        """The brand's canned replies as this person would send them."""
        name = self.brands[brand].display_name if brand in self.brands else brand
        found = await self.gateway.db.read(lambda connection: canned.listed(connection, (brand,)))
        return [{**one, "text": canned.filled(one["text"], name=person.name, brand=name)} for one in found]


def inbox_router(gateway: Gateway, lint: VoiceLint) -> APIRouter:
    """The pages below `/console/inbox`."""
    inbox = Inbox(gateway, lint)
    # Last, since `/inbox/{conversation}` takes what no other page has.
    return together(_list_pages(inbox), _conversation_pages(inbox), _acts(inbox))


def _list_pages(inbox: Inbox) -> APIRouter:
    router = page_router()

    @router.get("/inbox")
    async def page(request: Request, person: Agent, chosen: Chosen, cursor: str | None = None) -> Response:
        """The list."""
        values = await inbox.list_values(person, chosen, cursor)
        return render(request, person, "inbox/list.html", conversation=None, **values)

    @router.get("/inbox/rows")
    async def rows(
        request: Request, person: Agent, chosen: Chosen, cursor: str | None = None, at: str = "", seen: Seen = ""
    ) -> Response:
        """The list where it is other than what the page has, else 204; `at` is the conversation that is open."""
        values = await inbox.list_values(person, chosen, cursor)
        if values["seen"] == seen:
            return _unchanged()
        part = render(request, person, "inbox/part_list.html", conversation={"id": at} if at else None, **values)
        part.headers[SEEN] = values["seen"]
        return part

    @router.post("/inbox/lint")
    async def lint(request: Request, person: Agent, brand: Words, text: Words = "") -> Response:
        """How the words of a composer sound."""
        person.must(Role.AGENT, brand)
        heard = await inbox.lint.hear(brand, text) if text.strip() else None
        return render(request, person, "inbox/part_lint.html", heard=heard)

    return router


def _conversation_pages(inbox: Inbox) -> APIRouter:
    router = page_router()

    @router.get("/inbox/{conversation}")
    async def page(
        request: Request, person: Agent, conversation: Id, chosen: Chosen, cursor: str | None = None
    ) -> Response:
        """A conversation, beside the list that it was found in."""
        listed = await inbox.list_values(person, chosen, cursor)
        thread = await inbox.thread_values(person, conversation)
        replies = await inbox.canned_for(person, thread["conversation"]["brand"])
        values = thread | listed | {"canned": replies, "key": fresh_id(), "thread_seen": thread["seen"]}
        return render(request, person, "inbox/conversation.html", **values)

    @router.get("/inbox/{conversation}/thread")
    async def thread(request: Request, person: Agent, conversation: Id, seen: Seen = "") -> Response:
        """What was said, where it is other than what the page has, else 204."""
        values = await inbox.thread_values(person, conversation)
        return _unchanged() if values["seen"] == seen else _thread(request, person, values)

    return router


def _acts(inbox: Inbox) -> APIRouter:
    router = page_router()
    desk = inbox.desk

    async def acted(
        request: Request, person: Person, conversation: str, act: Callable[[], Awaitable[Change | None]]
    ) -> Response:
        """Do something, and show what it came to: to htmx the thread, to a browser without scripts the page."""
        await act()
        if not request.headers.get("hx-request"):
            return redirect(request, f"{CONSOLE}/inbox/{conversation}")
        return _thread(request, person, await inbox.thread_values(person, conversation))

    @router.post("/inbox/{conversation}/take")
    async def take(request: Request, person: Agent, conversation: Id, force: Words = "") -> Response:
        """Take it over."""
        return await acted(
            request,
            person,
            conversation,
            lambda: desk.take(conversation, by=person.name, account=person.id, force=bool(force)),
        )

    @router.post("/inbox/{conversation}/say")
    async def say(request: Request, person: Agent, conversation: Id, key: Words, text: Words = "") -> Response:
        """Write to the customer; with a key that was used before nothing happens."""
        if not 0 < len(key) <= 100:
            raise RequestInvalid("This page is too old. Load it again, and repeat what you did.", param="key")
        clean = inbox.gateway.clean_text(text)
        return await acted(
            request,
            person,
            conversation,
            lambda: desk.say(conversation, by=person.name, account=person.id, text=clean, key=key),
        )

    @router.post("/inbox/{conversation}/note")
    async def note(request: Request, person: Agent, conversation: Id, text: Words = "") -> Response:
        """A remark for the team."""
        clean = inbox.gateway.clean_text(text)[:MOST_NOTE]
        return await acted(request, person, conversation, lambda: desk.note(conversation, by=person.name, text=clean))

    @router.post("/inbox/{conversation}/return")
    async def give_back(request: Request, person: Agent, conversation: Id) -> Response:
        """Give it back to the bot."""
        return await acted(
            request, person, conversation, lambda: desk.give_back(conversation, by=person.name, account=person.id)
        )

    @router.post("/inbox/{conversation}/close")
    async def close(request: Request, person: Agent, conversation: Id) -> Response:
        """Close it."""
        return await acted(
            request, person, conversation, lambda: desk.close(conversation, by=person.name, account=person.id)
        )

    return router


def _thread(request: Request, person: Person, values: dict[str, Any]) -> Response:
    part = render(request, person, "inbox/part_thread.html", **values)
    part.headers[SEEN] = values["seen"]
    return part


def _unchanged() -> Response:
    return Response(status_code=204, headers=FORM_HEADERS)
