"""What an operator may look at: turns with their evidence, hand-overs, brands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from service import conversations, handoffs
from service.adapters import active_version
from service.bootstrap import Gateway


def evidence_router(gateway: Gateway) -> APIRouter:
    """The routes `/v1/turns/{id}`, `/v1/handoffs` and `/v1/brands`."""
    router = APIRouter(prefix="/v1", tags=["Evidence"], dependencies=[Depends(gateway.keys)])

    @router.get("/turns/{turn}")
    async def turn(turn: str) -> dict[str, Any]:
        """A turn with everything that explains it: query, candidates with scores, prompt, per-sentence check."""
        return await conversations.evidence(gateway.db, turn)

    @router.get("/handoffs")
    async def list_handoffs(brand: str | None = None) -> dict[str, Any]:
        """Hand-overs, newest first."""
        found = await handoffs.list_handoffs(gateway.db, brand=brand)
        return {"handoffs": [handoffs.to_json(handoff) for handoff in found]}

    @router.get("/brands")
    async def brands() -> dict[str, Any]:
        """Brands with their active adapter and knowledge version."""
        return {
            "brands": [
                {
                    "name": name,
                    "display_name": brand.display_name,
                    "adapter": active_version(gateway.home, name),
                    "knowledge_version": gateway.knowledge[name].version,
                    "documents": len(gateway.knowledge[name].documents()),
                }
                for name, brand in sorted(gateway.config.brands.items())
            ]
        }

    return router
