"""The answer inspector: why a turn was answered as it was, and where an expected page was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from configs.brand import Brand
from service.bootstrap import Gateway
from service.console.access import Agent, Person, Role
from service.console.bench.offers import past_turns
from service.console.bench.pages import BASES, OUTCOMES
from service.console.inspector.inspecting import Inspection, WhyNot, inspect, why_not
from service.console.inspector.prompt_parts import count_tokens, parts_of
from service.console.inspector.waterfall import waterfall
from service.console.inspector.words import NOTES, PARTS, STAGES, STEPS, TIMINGS
from service.console.pages import gettext, page_router, render
from service.console.said import Said, _
from service.console.together import together
from service.conversation import inbox
from service.conversation import store as conversations
from service.errors import BrandUnknown, RequestInvalid
from service.turns.lanes import HISTORY_TURNS

TurnId = Annotated[str, Path(max_length=64, description="The turn's id.")]
Expected = Annotated[str, Query(max_length=500, description="Id of the page that should have been found.")]
LISTED = 50


def inspector_router(gateway: Gateway) -> APIRouter:
    """The pages `/console/inspector` and `/console/turns/{id}`, the routes `/v1/turns/{turn}/inspection` and `/why`."""
    desk = Desk(gateway)
    return together(_api(desk), _pages(desk))


class Desk:
    """What people look at."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def inspect(self, person: Person, turn: str) -> Inspection:
        """A turn with everything that explains it, where this person may see its brand."""
        told, brand = await self._turn(person, turn)
        prompt = (told["evidence"] or {}).get("prompt") or ()
        parts = parts_of(prompt, told["question"])
        settings = self.gateway.config.service
        tokens = await count_tokens(self.gateway.home, settings, [one.text for one in parts])
        history = await self._history(turn)
        return await inspect(told, history, parts, tokens, self.gateway.knowledge[brand.name], brand)

    async def why(self, person: Person, turn: str, document: str, translate: Callable[[str], str] = str) -> WhyNot:
        """Where the search loses a page for the turn's question now."""
        told, brand = await self._turn(person, turn)
        if not document:
            raise RequestInvalid(_("Name the page that should have been found."), param="document")
        knowledge, shared = self.gateway.knowledge[brand.name], self.gateway.encoder
        question, history = told["question"], await self._history(turn)
        return await asyncio.to_thread(why_not, knowledge, brand, shared, question, history, document, translate)

    async def _turn(self, person: Person, turn: str) -> tuple[dict[str, Any], Brand]:
        told = await conversations.evidence(self.gateway.db, turn)
        person.must(Role.AGENT, told["brand"])
        brand = self.gateway.config.brands.get(told["brand"])
        if brand is None:
            raise BrandUnknown(Said(_("The brand %(name)s is not configured any more."), name=told["brand"]))
        return told, brand

    async def _history(self, turn: str) -> tuple[str, ...]:
        """What the customer said before, as the search had it."""
        past = await inbox.past_of(self.gateway.db, turn, past=HISTORY_TURNS)
        return tuple(one.question for one in past if one.question)


def _api(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/v1/turns", tags=["Evidence"])

    @router.get("/{turn}/inspection", response_model=Inspection)
    async def inspection(turn: TurnId, person: Agent) -> Any:
        """A turn with what explains it in order: candidates, tokens of each part of the prompt, support, timings."""
        return await desk.inspect(person, turn)

    @router.get("/{turn}/why", response_model=WhyNot)
    async def why(turn: TurnId, person: Agent, document: Expected = "") -> Any:
        """Where an expected page is lost: the turn's question is searched again in the version that serves."""
        return await desk.why(person, turn, document)

    return router


def _pages(desk: Desk) -> APIRouter:
    router = page_router()

    @router.get("/inspector")
    async def turns(
        request: Request, person: Agent, brand: str = "", words: Annotated[str, Query(max_length=200)] = ""
    ) -> Response:
        """The latest turns of a brand, to choose from."""
        configured = desk.gateway.config.brands
        brands = {name: configured[name].display_name for name in person.brands(Role.AGENT, configured)}
        brand = brand or next(iter(brands), "")
        found = await past_turns(desk.gateway.db, brand, words=words, most=LISTED)
        return render(
            request, person, "inspector/turns.html", turns=found, brand=brand, brands=brands, words=words,
            outcomes=OUTCOMES,
        )  # fmt: skip

    @router.get("/turns/{turn}")
    async def turn(turn: TurnId, request: Request, person: Agent, expected: Expected = "") -> Response:
        """One turn; with an expected page, where that was lost."""
        seen = await desk.inspect(person, turn)
        translate = gettext(person)
        why = await desk.why(person, turn, expected, translate) if expected else None
        drawn = waterfall(
            [(translate(TIMINGS.get(one.name, one.name)), one.begun_ms, one.ms) for one in seen.timings],
            title=translate(_("When each step ran, in milliseconds")),
        )
        return render(
            request, person, "inspector/turn.html", seen=seen, why=why, expected=expected, drawn=drawn,
            outcomes=OUTCOMES, bases=BASES, parts_called=PARTS, stages=STAGES, steps=STEPS,
            notes=NOTES, timings=TIMINGS, told=translate,
        )  # fmt: skip

    return router
