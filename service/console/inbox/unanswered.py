"""Unanswered questions as a page and over HTTP: alike ones together, and an answer that becomes knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from retrieval.errors import RetrievalError
from service.bootstrap import Gateway
from service.console import audit
from service.console.access import CONSOLE, Agent, Editor, Person, Role
from service.console.pages import gettext, page_router, redirect, render
from service.console.together import together
from service.errors import NotPossible, RequestInvalid, brand_of
from service.people.answering import Answer, Answering, Written
from service.people.unanswered import MOST, Group, Unanswered, settle

SHOWN = 50
"""Groups on the page, the largest; what is settled makes place for the next."""
Brand = Annotated[str, Path(max_length=40)]
Words = Annotated[str, Form(max_length=30_000)]
Turns = Annotated[list[str], Field(min_length=1, max_length=MOST, description="As the groups name them.")]


class Asked(BaseModel):
    """A question that was refused."""

    turn: str
    conversation: str
    text: str
    at: datetime


class GroupShown(BaseModel):
    """Questions that ask much the same."""

    question: str = Field(description="The one most like the others.")
    count: int
    conversations: int
    last_at: datetime
    turns: list[str] = Field(description="Of all of them.")
    questions: list[Asked] = Field(description="Some of them.")


class Groups(BaseModel):
    """Groups of questions, the largest first."""

    groups: list[GroupShown]


class AnswerIn(BaseModel):
    """A page that answers questions, and the case that adapters are judged by."""

    title: str = Field(max_length=200, description="Of the page, such as the question.")
    text: str = Field(max_length=20_000, description="Markdown.")
    turns: Turns
    question: str = Field(default="", max_length=2000, description="What the case asks; empty for no case.")
    holds: list[str] = Field(default=[], max_length=20, description="Strings that a right answer to it holds.")


class AnswerOut(BaseModel):
    """What came of it."""

    document: str
    version: str = Field(description="Of the knowledge base, which serves within a second.")
    settled: list[str] = Field(description="Turns whose question it answers.")
    found: bool = Field(description="Whether a search for the question finds the page and judges that it answers.")
    answerability: float = Field(description="Probability that what the search finds holds the answer.")
    left_out: list[str] = Field(description="Sentences that no model will read, because they instruct an assistant.")


class SetAside(BaseModel):
    """Questions that no page shall answer."""

    turns: Turns


class Settled(BaseModel):
    """Turns that were settled now."""

    settled: list[str]


class Questions:
    """What people do with unanswered questions."""

    def __init__(self, gateway: Gateway) -> None:
        self.brands = gateway.config.brands
        self._db = gateway.db
        self._unanswered = Unanswered(gateway.db, gateway.encoder, gateway.executor)
        self._answering = Answering(gateway.db, gateway.config.brands, gateway.home, gateway.encoder, gateway.knowledge)

    async def groups(self, brand: str) -> list[Group]:
        """A brand's, the largest first."""
        brand_of(self.brands, brand)
        return await self._unanswered.groups(brand)

    async def busiest(self, brands: Sequence[str]) -> str | None:
        """The brand with the most of them."""
        return await self._unanswered.busiest(brands)

    async def answer(self, person: Person, brand: str, answer: Answer, turns: list[str]) -> Written:
        """Write it; raises what `Answering.write` does, of knowledge that cannot take it NotPossible."""

        def note(connection: Connection, document: str, settled: Any) -> None:
            detail = {"questions": len(settled), "case": bool(answer.question)}
            audit.note(connection, by=person, brand=brand, action="question.answered", subject=document, detail=detail)

        try:
            return await self._answering.write(brand, answer, turns, by=person.name, note=note)
        except RetrievalError as error:
            raise NotPossible(str(error)) from error

    async def set_aside(self, person: Person, brand: str, turns: list[str]) -> tuple[str, ...]:
        """Note that no page shall answer these."""

        def work(connection: Connection) -> tuple[str, ...]:
            fresh = settle(connection, brand, turns, by=person.name, document=None)
            detail = {"questions": len(fresh)}
            audit.note(connection, by=person, brand=brand, action="question.set_aside", subject=turns[0], detail=detail)
            return fresh

        return await self._db.write(work)


def unanswered_router(gateway: Gateway) -> APIRouter:
    """The page `/console/inbox/unanswered` and the routes below `/v1/brands/{brand}/unanswered`."""
    questions = Questions(gateway)
    return together(_api(questions), _pages(questions))


def _api(questions: Questions) -> APIRouter:
    router = APIRouter(prefix="/v1/brands/{brand}/unanswered", tags=["Conversations"])

    @router.get("", response_model=Groups)
    async def groups(person: Agent, brand: Brand) -> Any:  # noqa: ARG001
        """Questions that were refused in the last 90 days and that nobody settled, alike ones together."""
        return {"groups": [one.to_json() for one in await questions.groups(brand)]}

    @router.post("/answer", response_model=AnswerOut)
    async def answer(person: Editor, brand: Brand, given: AnswerIn) -> Any:
        """Write the answer: a page of the knowledge base, and a case that adapters are judged by."""
        made = Answer(given.title, given.text, given.question, tuple(given.holds))
        return await questions.answer(person, brand, made, given.turns)

    @router.post("/set-aside", response_model=Settled)
    async def set_aside(person: Editor, brand: Brand, given: SetAside) -> Any:
        """Note that no page shall answer these questions."""
        return {"settled": await questions.set_aside(person, brand, given.turns)}

    return router


def _pages(questions: Questions) -> APIRouter:
    router = page_router()

    async def show(request: Request, person: Person, brand: str, *, status: int = 200, **more: object) -> Response:
        brands = person.brands(Role.AGENT, questions.brands)
        brand = brand or await questions.busiest(brands) or next(iter(brands), "")
        found = await questions.groups(brand) if brand else []
        values: dict[str, Any] = {"trouble": "", "again": None} | more
        return render(
            request, person, "inbox/unanswered.html", status=status, groups=found[:SHOWN], more=len(found) - SHOWN,
            brand=brand, brands=brands, may_write=bool(brand) and person.may(Role.EDITOR, brand), **values,
        )  # fmt: skip

    @router.get("/inbox/unanswered")
    async def page(request: Request, person: Agent, brand: str = "") -> Response:
        """Groups of questions, each with a form for its answer."""
        return await show(request, person, brand)

    @router.post("/inbox/unanswered/answer")
    async def answer(
        request: Request, person: Editor, brand: Words, title: Words = "", text: Words = "", question: Words = "",
        holds: Words = "", turn: Annotated[list[str], Form(max_length=MOST)] = [],  # noqa: B006
    ) -> Response:  # fmt: skip
        """Write the answer."""
        person.must(Role.EDITOR, brand)
        _ = gettext(person)
        made = Answer(title, text, question, tuple(holds.splitlines()))
        try:
            done = await questions.answer(person, brand, made, turn)
        except (RequestInvalid, NotPossible) as error:
            again = {"turn": turn[0] if turn else "", "title": title, "text": text, "question": question}
            return await show(request, person, brand, status=400, trouble=str(error), again=again | {"holds": holds})
        told = (
            _("The answer is a page of the knowledge now, and the assistant finds it.")
            if done.found
            else _("The answer is a page of the knowledge now, but a search for the question does not find it yet.")
        )
        return redirect(request, f"{CONSOLE}/inbox/unanswered?brand={brand}", told)

    @router.post("/inbox/unanswered/set-aside")
    async def set_aside(
        request: Request, person: Editor, brand: Words, turn: Annotated[list[str], Form(max_length=MOST)]
    ) -> Response:
        """Note that no page shall answer these."""
        person.must(Role.EDITOR, brand)
        _ = gettext(person)
        await questions.set_aside(person, brand, turn)
        return redirect(request, f"{CONSOLE}/inbox/unanswered?brand={brand}", _("They are set aside."))

    return router
