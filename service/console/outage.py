"""The line on every page of the console while customers get no answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from service.bootstrap import Gateway
from service.browser import FORM_HEADERS
from service.console.access import SignedIn
from service.console.marked import _
from service.console.pages import page_router, render
from service.engines.breaker import best


@dataclass(frozen=True, slots=True)
class Outage:
    """Why nobody is answered now."""

    name: str
    text: str
    passes: bool
    """Whether it ends by itself."""


STARTING = Outage(
    "starting", _("The model is starting. Messages of customers are kept and answered as soon as it runs."), True
)
DOWN = Outage(
    "down", _("The model does not answer. Messages of customers are kept and answered as soon as it does."), True
)
RESTING = Outage(
    "resting", _("The model failed several times in a row and rests for a minute at most. Customers are told so."), True
)
BROKEN = Outage(
    "broken",
    _(
        "The model cannot be started, and customers get no answers. Who runs this service finds why in "
        "runs/engine.log; brandvoice doctor looks for the usual causes. People can answer from the inbox meanwhile."
    ),
    False,
)


def outage_of(gateway: Gateway) -> Outage | None:
    """What keeps the model from answering; None where it answers."""
    engine = gateway.engine
    if engine.failure is not None:
        return BROKEN
    if engine.state != "ready":
        return STARTING if engine.state == "starting" else DOWN
    return RESTING if best(gateway.breakers.values()) == "open" else None


def outage_router() -> APIRouter:
    """What every page asks by itself, so that one that is left open says when it begins and ends."""
    router = page_router()

    @router.get("/outage")
    async def part(request: Request, person: SignedIn, shown: Annotated[str, Query(max_length=20)] = "") -> Response:
        """The line, or 204 where the page says the same already."""
        outage = request.app.state.outage()
        if shown == (outage.name if outage else ""):
            return Response(status_code=204, headers=FORM_HEADERS)
        return render(request, person, "part_outage.html")

    return router
