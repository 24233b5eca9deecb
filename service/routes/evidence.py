"""What an operator may look at: turns with their evidence, hand-overs, brands."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter

from retrieval.search.knowledge_base import KnowledgeBase
from service.bootstrap import Gateway
from service.console.access import Agent, Role
from service.conversation import store as conversations
from service.engines.adapters import active_version
from service.people import handoffs


def evidence_router(gateway: Gateway) -> APIRouter:
    """The routes `/v1/turns/{id}`, `/v1/handoffs` and `/v1/brands`."""
    router = APIRouter(prefix="/v1", tags=["Evidence"])

    @router.get("/turns/{turn}")
    async def turn(_: Agent, turn: str) -> dict[str, Any]:
        """A turn with everything that explains it: query, candidates with scores, prompt, per-sentence check.

        A source that no longer answers customers is marked `removed`, and one that reads otherwise now `changed`.
        """
        found = await conversations.evidence(gateway.db, turn)
        if knowledge := gateway.knowledge.get(found["brand"]):
            await asyncio.to_thread(_mark_sources, found, knowledge)
        return found

    @router.get("/handoffs")
    async def list_handoffs(person: Agent, brand: str | None = None) -> dict[str, Any]:
        """Hand-overs, newest first."""
        brands = (brand,) if brand else person.only(Role.AGENT, gateway.config.brands)
        found = await handoffs.list_handoffs(gateway.db, brands=brands)
        return {"handoffs": [handoffs.to_json(handoff) for handoff in found]}

    @router.get("/brands")
    async def brands(person: Agent) -> dict[str, Any]:
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
                if person.may(Role.AGENT, name)
            ]
        }

    return router


def _mark_sources(turn: dict[str, Any], knowledge: KnowledgeBase) -> None:
    """Compare what was quoted with the version that serves now; what is stored stays as it was."""
    search = (turn["evidence"] or {}).get("search") or {}
    for quoted, key in ((turn["citations"] or (), "passage"), (search.get("passages", ()), "text")):
        for one in quoted:
            state = knowledge.state_of(one["document"], one[key])
            if state != "current":
                one[state] = True
