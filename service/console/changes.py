"""The audit log as a page and over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import Editor, Person, Role
from service.console.audit import Entry
from service.console.change_words import ACTIONS, CAUSES, DETAILS, KINDS, VALUES
from service.console.pages import page_router, render
from service.console.together import together

AT_ONCE = 50
Brand = Annotated[str | None, Query(max_length=40, description="Only of this brand.")]
Action = Annotated[
    str | None, Query(max_length=60, description="Only these, or all of one thing.", examples=["person"])
]
By = Annotated[str | None, Query(max_length=32, description="Only by the person of this id.")]
Before = Annotated[int | None, Query(ge=1, description="For the next page: `id` of the last one.")]


class ChangeShown(BaseModel):
    """One change."""

    id: int
    at: datetime
    by: str = Field(description="The name they had then.")
    person_id: str | None = Field(description="null for an API key, and for the command line.")
    brand: str | None
    action: str = Field(examples=["person.invited"])
    subject: str = Field(description="Id or name of what changed.")
    detail: dict[str, Any]


class ChangesShown(BaseModel):
    """Changes, newest first."""

    changes: list[ChangeShown]


def changes_router(gateway: Gateway) -> APIRouter:
    """The page `/console/changes` and the route `/v1/audit`."""
    router, pages = APIRouter(prefix="/v1", tags=["People"]), page_router()

    async def found(
        person: Person, brand: str | None, action: str | None, by: str | None, before: int | None, limit: int
    ) -> list[Entry]:
        # What belongs to no brand is for those who look after all of them.
        brands = person.only(Role.EDITOR, gateway.config.brands)
        return await gateway.db.read(
            lambda c: audit.entries(
                c, brands=(brand,) if brand else brands, action=action, person=by, before=before, limit=limit
            )
        )

    @router.get("/audit", response_model=ChangesShown)
    async def listed(
        person: Editor, brand: Brand = None, action: Action = None, by: By = None, before: Before = None,
        limit: Annotated[int, Query(ge=1, le=500)] = AT_ONCE,
    ) -> Any:  # fmt: skip
        """What people and machines changed, newest first, in the brands in which one is an editor."""
        return {"changes": await found(person, brand, action, by, before, limit)}

    @pages.get("/changes")
    async def page(
        request: Request, person: Editor, brand: str = "", action: str = "", by: str = "", before: Before = None
    ) -> Response:
        """The log with its filter."""
        changes = await found(person, brand or None, action or None, by or None, before, AT_ONCE + 1)
        return render(
            request, person, "accounts/changes.html", changes=changes[:AT_ONCE], more=len(changes) > AT_ONCE,
            brands=person.brands(Role.EDITOR, gateway.config.brands), brand=brand, action=action, by=by,
            kinds=KINDS, actions=ACTIONS, details=DETAILS, values=VALUES, causes=CAUSES,
        )  # fmt: skip

    return together(router, pages)
