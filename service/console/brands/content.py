"""A brand's voice guide, its starter conversations and its whole file, as pages."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from service.brands.conversations import Example, Exchange, Outcome
from service.console.access import CONSOLE, Admin, Person
from service.console.brands.api import MOST_TOKENS, BrandShelf, Name, must_everywhere, shelf_file
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import told
from service.console.together import together
from service.errors import NotFound, NotPossible, RequestInvalid

MOST_SHOWN = 100
Long = Annotated[str, Form(max_length=100_000)]
Short = Annotated[str, Query(max_length=100)]


def content_pages(shelf: BrandShelf) -> APIRouter:
    """Their pages below `/console/brands/{brand}`."""
    return together(_guide(shelf), _conversations(shelf), _file(shelf))


def _guide(shelf: BrandShelf) -> APIRouter:
    router = page_router()

    async def page(
        request: Request, person: Person, brand: str, text: str | None = None, trouble: str = ""
    ) -> Response:
        found = await shelf.guide(brand) if text is None else None
        tokens = found.tokens if found else await shelf.tokens(text or "")
        return render(
            request, person, "brands/voice.html", status=400 if trouble else 200, brand=brand, trouble=trouble,
            text=found.text if found else text, tokens=tokens, most=MOST_TOKENS, made=shelf.desk.made(brand),
        )  # fmt: skip

    @router.get("/brands/{brand}/voice")
    async def guide(request: Request, person: Admin, brand: Name) -> Response:
        """The voice guide, and a place to try how a sentence sounds."""
        return await page(request, person, brand)

    @router.post("/brands/{brand}/voice")
    async def write(request: Request, person: Admin, brand: Name, text: Long = "") -> Response:
        """Replace it."""
        try:
            await shelf.write_guide(person, brand, text)
        except RequestInvalid as error:
            return await page(request, person, brand, text, told(error, gettext(person)))
        _ = gettext(person)
        return redirect(request, f"{CONSOLE}/brands/{brand}/voice", _("Saved. The next answer is written with it."))

    @router.post("/brands/{brand}/voice/tokens")
    async def count(request: Request, person: Admin, brand: Name, text: Long = "") -> Response:
        """How long a guide is that is being written."""
        tokens = await shelf.tokens(text)
        return render(request, person, "brands/part_tokens.html", brand=brand, tokens=tokens, most=MOST_TOKENS)

    return router


def _conversations(shelf: BrandShelf) -> APIRouter:
    router = page_router()

    async def page(
        request: Request, person: Person, brand: str, *, find: str = "", one: Example | None = None, trouble: str = ""
    ) -> Response:
        found = await shelf.examples(brand)
        wanted = [each for each in found if find.casefold() in _all_of(each).casefold()]
        documents = [entry.id for entry in shelf.gateway.knowledge[brand].documents()]
        return render(
            request, person, "brands/conversations.html", status=400 if trouble else 200, brand=brand, count=len(found),
            found=wanted[:MOST_SHOWN], matching=len(wanted), find=find, trouble=trouble, outcomes=outcomes(person),
            one=one or _blank(), documents=documents,
        )  # fmt: skip

    @router.get("/brands/{brand}/conversations")
    async def listed(request: Request, person: Admin, brand: Name, find: Short = "", example: Short = "") -> Response:
        """All of them; one in the form."""
        one = None
        if example:
            one = next((each for each in await shelf.examples(brand) if each.id == example), None)
            if one is None:
                raise NotFound(f"There is no conversation {example!r}.")
        return await page(request, person, brand, find=find, one=one)

    @router.post("/brands/{brand}/conversations")
    async def write(request: Request, person: Admin, brand: Name) -> Response:
        """Put one in, or change one; or show one line more."""
        sent = await request.form()
        tried = _tried(sent)
        if "more" in sent:
            blank = Exchange.model_construct(said="", reply="", outcome="answered", documents=[])
            return await page(
                request, person, brand, one=tried.model_copy(update={"exchanges": [*tried.exchanges, blank]})
            )
        try:
            full = [each.model_dump() for each in tried.exchanges if each.said.strip() or each.reply.strip()]
            wanted = Example.model_validate({"id": tried.id, "topic": tried.topic, "exchanges": full})
            await shelf.write_example(person, brand, wanted)
        except ValidationError as error:
            first = error.errors()[0]
            nothing = first["type"] == "too_short"
            _ = gettext(person)
            said = _("Write what the customer says and what the brand replies.") if nothing else first["msg"]
            return await page(request, person, brand, one=tried, trouble=said.removeprefix("Value error, "))
        except (RequestInvalid, NotFound) as error:
            return await page(request, person, brand, one=tried, trouble=told(error, gettext(person)))
        _ = gettext(person)
        return redirect(request, f"{CONSOLE}/brands/{brand}/conversations", _("Saved. The next training learns it."))

    @router.post("/brands/{brand}/conversations/delete")
    async def delete(
        request: Request, person: Admin, brand: Name, example: Annotated[str, Form(max_length=80)] = ""
    ) -> Response:
        """Take one out."""
        await shelf.remove_example(person, brand, example)
        _ = gettext(person)
        return redirect(request, f"{CONSOLE}/brands/{brand}/conversations", _("The conversation is deleted."))

    return router


def _file(shelf: BrandShelf) -> APIRouter:
    router = page_router()

    async def page(
        request: Request, person: Person, brand: str, text: str | None = None, trouble: str = ""
    ) -> Response:
        shown = await shelf_file(shelf, brand)
        return render(
            request, person, "brands/file.html", status=400 if trouble else 200, brand=brand,
            text=shown["text"] if text is None else text, revision=shown["revision"],
            trouble=trouble or shelf.desk.left_out.get(brand, ""),
        )  # fmt: skip

    @router.get("/brands/{brand}/file")
    async def file(request: Request, person: Admin, brand: Name) -> Response:
        """The whole YAML."""
        must_everywhere(person)
        return await page(request, person, brand)

    @router.post("/brands/{brand}/file")
    async def rewrite(
        request: Request,
        person: Admin,
        brand: Name,
        text: Long = "",
        revision: Annotated[str, Form(max_length=32)] = "",
    ) -> Response:
        """Replace it."""
        try:
            await shelf.rewrite(person, brand, text, revision or None)
        except (RequestInvalid, NotPossible) as error:
            return await page(request, person, brand, text, told(error, gettext(person)))
        _ = gettext(person)
        return redirect(request, f"{CONSOLE}/brands/{brand}/file", _("Saved. New conversations see it at once."))

    return router


def outcomes(person: Person | None) -> dict[Outcome, str]:
    """What a reply is, in the person's language."""
    _ = gettext(person)
    return {
        "answered": _("answers from pages"),
        "refused": _("says that no page holds it"),
        "handed_off": _("passes on to a person"),
        "small_talk": _("small talk"),
    }


def _tried(sent: FormData) -> Example:
    """What the form says, be it right or not."""
    columns = [[str(value) for value in sent.getlist(name)] for name in ("said", "reply", "outcome", "documents")]
    exchanges = [
        Exchange.model_construct(
            said=said,
            reply=reply,
            outcome=outcome,
            documents=[one.strip() for one in documents.split(",") if one.strip()],
        )
        for said, reply, outcome, documents in list(zip_longest(*columns, fillvalue=""))[:20]
    ]
    topic = str(sent.get("topic", "")).strip() or "general"
    return Example.model_construct(id=str(sent.get("id", "")), topic=topic, exchanges=exchanges)


def _blank() -> Example:
    exchange = Exchange.model_construct(said="", reply="", outcome="answered", documents=[])
    return Example.model_construct(id="", topic="", exchanges=[exchange])


def _all_of(one: Example) -> str:
    return "\n".join([one.topic, *(text for each in one.exchanges for text in (each.said, each.reply))])
