"""Adapters over HTTP: which there are, what the gate says of them, which one speaks."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from configs.brand import Brand
from configs.verdict import read_verdict
from service.bootstrap import Gateway
from service.console import audit
from service.console.access import Admin, Editor, speaks_as
from service.engines.adapters import list_adapters, promote, rollback
from service.engines.promotion import Override, evaluation_folder
from service.errors import AdapterUnknown, brand_of


class OverrideRequest(BaseModel):
    """Who answers for an adapter that the gate did not pass, and why; kept in its manifest."""

    by: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="With an API key it must be said; whoever is signed in has a name already, which counts.",
    )
    reason: str = Field(min_length=1, max_length=2000)


class PromoteRequest(BaseModel):
    """How to promote."""

    override: OverrideRequest | None = None


def adapters_router(gateway: Gateway) -> APIRouter:
    """The routes `/v1/brands/{brand}/adapters`."""
    router = APIRouter(prefix="/v1/brands/{brand}/adapters", tags=["Adapters"])
    home = gateway.home

    def known(brand: str) -> Brand:
        return brand_of(gateway.config.brands, brand)

    @router.get("")
    async def adapters(_: Editor, brand: str) -> dict[str, Any]:
        """All versions of a brand, oldest first."""
        found = await asyncio.to_thread(list_adapters, home, {brand: known(brand)})
        return {"adapters": [one.as_json() for one in found]}

    @router.get("/{version}/evaluation")
    async def evaluation(_: Editor, brand: str, version: str) -> dict[str, Any]:
        """What the gate said of a version: verdict, reasons, measures."""
        known(brand)
        _named(version)
        found = await asyncio.to_thread(read_verdict, evaluation_folder(home, brand, version))
        if found is None:
            ask = f"`brandvoice eval --brand {brand} --candidate {version}`"
            raise AdapterUnknown(f"The gate has not judged {brand}@{version} yet. Ask it: {ask}.")
        return found.model_dump(mode="json", by_alias=True)

    @router.post("/{version}/promote")
    async def promote_version(
        person: Admin, brand: str, version: str, request: PromoteRequest | None = None
    ) -> dict[str, Any]:
        """Let a version speak where the gate passed it; 409 with the reasons where it did not."""
        given = request.override if request else None
        manifest = await asyncio.to_thread(
            promote,
            home,
            known(brand),
            version,
            terms=gateway.terms,
            override=Override(speaks_as(person, given.by), given.reason) if given else None,
        )
        detail = {"override": given.reason} if given else {}
        await gateway.db.write(
            lambda c: audit.note(c, by=person, brand=brand, action="adapter.promoted", subject=version, detail=detail)
        )
        approvals = [one.model_dump(mode="json") for one in manifest.approvals]
        return {"brand": brand, "version": version, "active": True, "approvals": approvals}

    @router.post("/rollback")
    async def roll_back(person: Admin, brand: str) -> dict[str, Any]:
        """Go back to the version that spoke before."""
        known(brand)
        version = await asyncio.to_thread(rollback, home, brand, terms=gateway.terms)
        await gateway.db.write(
            lambda c: audit.note(c, by=person, brand=brand, action="adapter.rolled_back", subject=version)
        )
        return {"brand": brand, "version": version, "active": True}

    return router


def _named(version: str) -> None:
    if version.startswith(".") or "/" in version:
        raise AdapterUnknown(f"{version!r} is no version.")
