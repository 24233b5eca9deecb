"""Held-out questions: what a new voice is judged by, on a page and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import CONSOLE, Editor, Person
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import told
from service.console.together import together
from service.corrections.held_out import MOST_AT_ONCE, MOST_CHARS, HeldOut, Kind, New, Note
from service.errors import NotPossible, RequestInvalid

PAGE = 10
"""Questions of customers on a page."""
Brand = Annotated[str, Path(max_length=40, description="The brand's name.")]
Id = Annotated[str, Path(max_length=100, description="Of the question.")]
Line = Annotated[str, Form(max_length=400)]
Lines = Annotated[str, Form(max_length=MOST_AT_ONCE * (MOST_CHARS + 2))]
Skip = Annotated[int, Query(ge=0, le=10_000)]


class CaseShown(BaseModel):
    """A held-out question."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    question: str
    kind: Kind = Field(description="Who has the answer: a page, nobody (`none`), or a person.")
    document: str | None = Field(description="The page that answers it.")
    holds: list[str] = Field(description="Strings that a right answer holds.")
    removable: bool = Field(description="Not where it stands in a file of the deployment, or comes of a correction.")


class CasesShown(BaseModel):
    """A brand's held-out questions."""

    model_config = ConfigDict(from_attributes=True)

    cases: list[CaseShown]
    wanted: int = Field(description="The gate gives no verdict with fewer.")
    wanted_a_kind: int = Field(description="Of a kind with fewer, the gate does not judge how a voice does.")
    gate: bool = Field(description="Whether the brand's file names questions, without which there is no gate.")


class NewIn(BaseModel):
    """A question that shall be one."""

    question: str = Field(min_length=3, max_length=MOST_CHARS, description="Personal data in it is hidden.")
    kind: Kind
    document: str | None = Field(default=None, max_length=400, description="Where a page answers it.")
    holds: list[Annotated[str, Field(max_length=400)]] = Field(default=[], max_length=20)
    turn: str | None = Field(default=None, max_length=64, description="Where a customer asked it.")


class NewQuestions(BaseModel):
    """Questions to be added; those that are there already are passed over."""

    questions: list[NewIn] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Added(BaseModel):
    """What came of it."""

    added: int


class AskedShown(BaseModel):
    """What a customer asked first, and what became of it; personal data is hidden."""

    model_config = ConfigDict(from_attributes=True)

    turn: str
    question: str
    said: str
    kind: Kind = Field(description="What it probably is.")
    document: str | None = Field(description="The page that the answer cited.")


class AskedQuestions(BaseModel):
    """First questions of conversations that are no held-out ones yet, the newest first."""

    questions: list[AskedShown]


def held_out_router(gateway: Gateway) -> APIRouter:
    """The page `/console/training/brands/{brand}/questions` and the routes `/v1/brands/{brand}/questions`."""

    def documents(brand: str) -> list[str]:
        return [one.id for one in gateway.knowledge[brand].documents()]

    held_out = HeldOut(gateway.db, gateway.home, gateway.config.brands, documents)
    return together(_api(held_out), _pages(held_out, documents))


def noted(person: Person, brand: str) -> Note:
    """Notes changes as this person's."""

    def note(connection: Connection, what: str, subject: str, detail: Mapping[str, Any]) -> None:
        audit.note(connection, by=person, brand=brand, action=f"question.{what}", subject=subject, detail=detail)

    return note


def _api(held_out: HeldOut) -> APIRouter:
    router = APIRouter(prefix="/v1/brands/{brand}/questions", tags=["Training"])

    @router.get("", response_model=CasesShown)
    async def listed(person: Editor, brand: Brand) -> Any:  # noqa: ARG001
        """What a new voice is judged by, and how much of it the gate wants."""
        return await held_out.standing(brand)

    @router.get("/asked", response_model=AskedQuestions)
    async def asked(person: Editor, brand: Brand, skip: Skip = 0) -> Any:  # noqa: ARG001
        """Customers' questions that could be among them, ten at a time."""
        standing = await held_out.standing(brand)
        return {"questions": await held_out.asked(brand, standing, skip=skip, count=PAGE)}

    @router.post("", response_model=Added)
    async def add(person: Editor, brand: Brand, given: NewQuestions) -> Any:
        """Add some; a verdict from before does not hold any more."""
        new = [New(one.question, one.kind, one.document, tuple(one.holds), one.turn) for one in given.questions]
        return {"added": await held_out.add(brand, new, noted(person, brand))}

    @router.delete("/{case}", status_code=204, response_class=Response)
    async def remove(person: Editor, brand: Brand, case: Id) -> Response:
        """Take one out; a verdict from before does not hold any more."""
        await held_out.remove(brand, case, noted(person, brand))
        return Response(status_code=204)

    return router


def _pages(held_out: HeldOut, documents: Callable[[str], list[str]]) -> APIRouter:
    router = page_router()

    def here(brand: str) -> str:
        return f"{CONSOLE}/training/brands/{brand}/questions"

    async def show(request: Request, person: Person, brand: str, skip: int = 0, **more: object) -> Response:
        standing = await held_out.standing(brand)
        asked = await held_out.asked(brand, standing, skip=skip, count=PAGE + 1)
        values: dict[str, Any] = {"status": 200, "trouble": "", "again": None} | more
        return render(
            request, person, "training/questions.html", brand=brand, standing=standing,
            asked=asked[:PAGE], skip=skip, older=skip + PAGE if len(asked) > PAGE else None,
            documents=sorted(documents(brand)), **values,
        )  # fmt: skip

    @router.get("/training/brands/{brand}/questions")
    async def page(request: Request, person: Editor, brand: Brand, skip: Skip = 0) -> Response:
        """What there is, what the gate wants, and how more come."""
        return await show(request, person, brand, skip)

    @router.post("/training/brands/{brand}/questions")
    async def add(
        request: Request, person: Editor, brand: Brand, questions: Lines = "", answer: Line = "", holds: Lines = "",
        turn: Annotated[str, Form(max_length=64)] = "", skip: Annotated[int, Form(ge=0, le=10_000)] = 0,
    ) -> Response:  # fmt: skip
        """Add what is written, one a line."""
        _ = gettext(person)
        kind, document = _answered_by(answer)
        lines = [line for line in questions.splitlines() if line.strip()]
        new = [New(line, kind, document, tuple(holds.splitlines()), turn or None) for line in lines]
        try:
            added = await held_out.add(brand, new, noted(person, brand))
        except (RequestInvalid, NotPossible) as error:
            again = {"questions": questions, "answer": answer, "holds": holds, "turn": turn}
            trouble = told(error, _)
            return await show(request, person, brand, skip, status=400, trouble=trouble, again=again)
        said = _("Held out from now on: %(count)s. What was there already is passed over.") % {"count": added}
        path = here(brand) + (f"?skip={skip}" if skip else "") + ("#asked" if turn else "")
        return redirect(request, path, said)

    @router.post("/training/brands/{brand}/questions/remove")
    async def remove(request: Request, person: Editor, brand: Brand, case: Line = "") -> Response:
        """Take one out."""
        _ = gettext(person)
        try:
            await held_out.remove(brand, case, noted(person, brand))
        except NotPossible as error:
            return await show(request, person, brand, status=409, trouble=told(error, _))
        return redirect(request, here(brand) + "#all", _("It is taken out."))

    return router


def _answered_by(answer: str) -> tuple[Kind, str | None]:
    """What a choice of the form means: nobody, a person, or a page by its name."""
    said: dict[str, Literal["none", "person"]] = {":none": "none", ":person": "person"}
    return (said[answer], None) if answer in said else ("page", answer or None)
