"""The pages of the voice bench."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Form, Path, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from service.console.access import CONSOLE, Agent, Needs, Person, Role
from service.console.bench import runs as bench_runs
from service.console.bench import votes
from service.console.bench.shown import LETTERS, TAGS, Offers, Run, RunRequest, Vote
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import Said, _, told
from service.errors import NotFound, RequestInvalid
from service.turns.side_by_side import NO_KNOWLEDGE

if TYPE_CHECKING:
    from service.console.bench.router import Desk

RunId = Annotated[str, Path(max_length=64)]
Brand = Annotated[str, Query(max_length=40)]


NAMES = {"base": _("Base model with the voice guide"), "base:no-guide": _("Adapter off: the base model alone")}
TAG_NAMES = {
    "voice": _("sounds like us"),
    "facts": _("right facts"),
    "complete": _("complete"),
    "short": _("to the point"),
    "kind": _("kinder"),
    "honest": _("honest about what it does not know"),
}
OUTCOMES = {
    "answered": _("answered"),
    "refused": _("refused"),
    "handed_off": _("handed over"),
    "small_talk": _("small talk"),
    "stopped": _("stopped"),
}
BASES = {
    "passage": _("stands in a passage"),
    "style": _("from style only"),
    "question": _("a question"),
    "own_words": _("the brand's own words"),
    "promise": _("a promise that nobody could keep"),
    "nothing": _("in no passage"),
    "unchecked": _("not checked"),
}


def bench_pages(desk: Desk) -> APIRouter:
    """The pages below `/console/bench`."""
    router, pages = page_router(), _Pages(desk)
    pages.asking(router)
    pages.running(router)
    return router


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def asking(self, router: APIRouter) -> None:
        """Where one asks."""
        desk = self.desk

        @router.get("/bench")
        async def empty(
            request: Request, person: Agent, brand: Brand = "", turn: str = "", question: str = ""
        ) -> Response:
            """The form, filled in for a past turn or a question where one is named."""
            if turn:
                brand, question = await bench_runs.replayed(desk.db, turn)
                person.must(Role.AGENT, brand)
            brand = brand or next(iter(self.brands(person)), "")
            return await self.page(request, person, brand, turn=turn or None, question=question)

        @router.post("/bench")
        async def ask(
            request: Request,
            person: Agent,
            background: BackgroundTasks,
            brand: Annotated[str, Form(max_length=40)],
            question: Annotated[str, Form()] = "",
            turn: Annotated[str, Form(max_length=64)] = "",
            contender: Annotated[list[str] | None, Form()] = None,
            blind: Annotated[str, Form()] = "",
            served: Annotated[str, Form()] = "",
        ) -> Response:
            """Begin a run."""
            person.must(Role.AGENT, brand)
            filled: dict[str, Any] = {"turn": turn or None, "question": question, "chosen": contender or []}
            filled |= {"blind": bool(blind), "served": bool(served)}
            try:
                wanted = RunRequest(
                    brand=brand,
                    question=None if turn else question,
                    turn=turn or None,
                    contenders=tuple(contender or ()),
                    blind=bool(blind),
                    served=bool(served),
                )
                run = await desk.ask(person, wanted, background)
            except ValidationError:
                trouble = gettext(person)(_("Choose two to four voices."))
                return await self.page(request, person, brand, trouble=trouble, **filled)
            except RequestInvalid as error:
                return await self.page(request, person, brand, trouble=told(error, gettext(person)), **filled)
            response = redirect(request, f"{CONSOLE}/bench/runs/{run}")
            response.background = background
            return response

        @router.get("/bench/brands/{brand}/preferences", dependencies=[Depends(Needs(Role.EDITOR))])
        async def preferences(brand: str) -> Response:
            """The votes, to learn from."""
            return await desk.preferences(brand)

    def running(self, router: APIRouter) -> None:
        """What came of it."""
        desk = self.desk

        @router.get("/bench/runs/{run}")
        async def shown(run: RunId, request: Request, person: Agent) -> Response:
            """A run; answers that are not there yet ask for themselves."""
            seen = await desk.show(person, run)
            names = [one.contender for one in seen.answers if one.contender]
            more = {"chosen": names} if names else {}
            filled: dict[str, Any] = {"turn": seen.turn, "question": seen.question, "run": seen}
            return await self.page(request, person, seen.brand, blind=seen.blind, served=seen.served, **filled, **more)

        @router.get("/bench/runs/{run}/answers/{letter}")
        async def answer(run: RunId, letter: str, request: Request, person: Agent) -> Response:
            """One column."""
            seen = await desk.show(person, run)
            found = next((one for one in seen.answers if one.letter == letter), None)
            if found is None:
                raise NotFound(Said(_("This run has no answer %(letter)s."), letter=letter))
            return _part(request, person, "bench/answer.html", seen, answer=found)

        @router.get("/bench/runs/{run}/ballot")
        async def ballot(run: RunId, request: Request, person: Agent) -> Response:
            """Where one votes, as soon as all have answered."""
            return _part(request, person, "bench/ballot.html", await desk.show(person, run), tags=TAG_NAMES)

        @router.post("/bench/runs/{run}/vote")
        async def cast(
            run: RunId,
            request: Request,
            person: Agent,
            best: Annotated[str, Form(max_length=5)],
            tag: Annotated[list[str] | None, Form()] = None,
            note: Annotated[str, Form(max_length=2000)] = "",
        ) -> Response:
            """Vote, and be told who wrote what."""
            if best not in (*LETTERS, "equal") or set(tag or ()) - set(TAGS):
                raise RequestInvalid(_("Choose one of the answers, or that they are equal."), param="best")
            await desk.vote(person, run, Vote.model_validate({"best": best, "tags": tag or (), "note": note}))
            thanks = gettext(person)(_("Your vote counts. Now you see who wrote what."))
            return redirect(request, f"{CONSOLE}/bench/runs/{run}", thanks)

    async def page(self, request: Request, person: Person, brand: str, **more: Any) -> Response:
        """The whole page: the form, a run where there is one, who wins so far."""
        desk = self.desk
        found, results = await asyncio.gather(desk.offers(brand), votes.results(desk.db, brand))
        shown: dict[str, Any] = {"run": None, "turn": None, "question": "", "trouble": "", "chosen": _first_two(found)}
        shown |= {"blind": False, "served": False} | more
        return render(
            request, person, "bench/page.html", status=400 if shown["trouble"] else 200,
            brand=brand, brands=self.brands(person), offers=found, results=results, tags=TAG_NAMES,
            called=called(gettext(person)), outcomes=OUTCOMES, bases=BASES, no_knowledge=NO_KNOWLEDGE, **shown,
        )  # fmt: skip

    def brands(self, person: Person) -> dict[str, str]:
        """Brands that this person may ask for, with the names that customers know."""
        brands = self.desk.gateway.config.brands
        return {name: brands[name].display_name for name in person.brands(Role.AGENT, brands)}


def _part(request: Request, person: Person, template: str, run: Run, **values: Any) -> Response:
    names = called(gettext(person))
    return render(request, person, template, run=run, called=names, outcomes=OUTCOMES, bases=BASES, **values)


def _first_two(found: Offers) -> list[str]:
    """What is compared where nobody chose: the base model with what speaks now, or with itself without its guide."""
    active = [one.contender for one in found.contenders if one.kind == "active"]
    return ["base", *(active or ["base:no-guide"])]


def called(translate: Callable[[str], str]) -> Callable[[str], str]:
    """Names a way to answer for people."""

    def name(contender: str) -> str:
        plain = contender.removesuffix(f":{NO_KNOWLEDGE}")
        known = NAMES.get(plain)
        shown = translate(known) if known else translate(_("Version {version}")).format(version=plain)
        if plain == contender:
            return shown
        return translate(_("{voice}, knowledge off")).format(voice=shown)

    return name
