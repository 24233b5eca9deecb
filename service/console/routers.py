"""The console's routers, in one short list: a story adds its own line."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute

from service.bootstrap import Gateway
from service.console.access import CONSOLE, Access, SignedIn
from service.console.bench.router import voice_bench_router
from service.console.brands.router import brands_router
from service.console.changes import changes_router
from service.console.corrections.router import corrections_router
from service.console.inbox.canned import canned_router
from service.console.inbox.lint import lint_router
from service.console.inbox.router import inbox_router
from service.console.inbox.unanswered import unanswered_router
from service.console.inspector.router import inspector_router
from service.console.knowledge.router import knowledge_router
from service.console.outage import outage_of, outage_router
from service.console.overview.retraining import retraining_router
from service.console.overview.router import overview_router
from service.console.pages import NAVIGATION, page_router, problem, static_files
from service.console.people.own import own_router
from service.console.people.router import people_router
from service.console.people.sign_in import sign_in_router
from service.console.said import _
from service.console.training.questions import held_out_router
from service.console.training.router import training_router
from service.people.lint import VoiceLint


def console_routers(gateway: Gateway) -> tuple[APIRouter, ...]:
    """The routers of all stories, pages and API."""
    lint = VoiceLint(gateway.config.brands, gateway.learnt, gateway.executor)
    return (
        _shell(),
        outage_router(),
        sign_in_router(gateway),
        own_router(gateway),
        people_router(gateway),
        changes_router(gateway),
        corrections_router(gateway),
        training_router(gateway),
        held_out_router(gateway),
        knowledge_router(gateway),
        brands_router(gateway),
        lint_router(lint),
        canned_router(gateway),
        unanswered_router(gateway),
        inbox_router(gateway, lint),
        overview_router(gateway),
        retraining_router(gateway),
        voice_bench_router(gateway),
        inspector_router(gateway),
        # The last one: it takes whatever is left.
        _nowhere(),
    )


def _nowhere() -> APIRouter:
    """What no story knows, as a page."""
    router = page_router()

    @router.get("/{path:path}")
    async def nowhere(path: str, request: Request, person: SignedIn) -> Response:  # noqa: ARG001
        """The page that says so."""
        return problem(request, 404, _("There is no such page."))

    return router


def install(app: FastAPI, gateway: Gateway) -> None:
    """Put the console into the application, and what its routes ask who may use them."""
    app.state.access = Access(gateway.db, gateway.keys)
    app.state.outage = partial(outage_of, gateway)
    before = len(app.routes)
    for router in console_routers(gateway):
        # What the description does not show needs nothing of it, and is not made anew.
        shown = APIRouter()
        for route in router.routes:
            described = isinstance(route, APIRoute) and route.include_in_schema
            (shown if described else app.router).routes.append(route)
        app.include_router(shown)
    app.state.console_paths = frozenset(getattr(route, "path", "") for route in app.routes[before:])


def _shell() -> APIRouter:
    """`/console` itself and its static files."""
    router = page_router()

    @router.get("")
    async def first(request: Request, person: SignedIn) -> Response:
        """To the first page that this person may see."""
        there = request.app.state.console_paths
        for place in NAVIGATION:
            if place.path in there and (place.role is None or person.may(place.role)):
                return RedirectResponse(place.path, 303)
        return RedirectResponse(f"{CONSOLE}/account", 303)

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        """Style sheets and scripts."""
        file = static_files().get(name)
        return file.answer(request) if file else problem(request, 404, _("There is no such page."))

    return router
