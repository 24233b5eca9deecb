"""The bench: one question, the same passages, the base model with the voice guide beside the adapter."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from service.bootstrap import Gateway
from service.errors import BrandUnknown
from service.pipeline import Turn
from service.ports import BASE_VERSION


class BenchRequest(BaseModel):
    """What to compare."""

    brand: str
    question: str = Field(description="One question without a history.")


def bench_router(gateway: Gateway) -> APIRouter:
    """The route `/v1/bench`."""
    router = APIRouter(prefix="/v1", tags=["Bench"], dependencies=[Depends(gateway.keys)])

    @router.post("/bench")
    async def bench(request: BenchRequest) -> dict[str, Any]:
        """Answer with both voices, side by side, from one search."""
        brand = gateway.config.brands.get(request.brand)
        if brand is None:
            raise BrandUnknown(f"There is no brand {request.brand!r}.")
        question = gateway.clean_text(request.question)
        gateway.lanes.admit()
        # `after`: both columns show all that the model said, with each sentence's check beside it.
        unfiltered = brand.model_copy(update={"check": "after"})
        versions = {"base+guide": BASE_VERSION, "adapter": None}
        columns = await asyncio.gather(
            *(_column(gateway, name, Turn(unfiltered, question, adapter_version=v)) for name, v in versions.items())
        )
        passages = columns[0].pop("passages")
        columns[1].pop("passages")
        return {"question": question, "passages": passages, "columns": columns}

    return router


async def _column(gateway: Gateway, name: str, turn: Turn) -> dict[str, Any]:
    since = time.perf_counter()
    reply = await gateway.pipeline.reply(replace(turn))
    generations = reply.evidence.get("generations")
    sentences = generations[-1].get("sentences", []) if isinstance(generations, list) and generations else []
    search = reply.evidence.get("search")
    return {
        "name": name,
        "version": reply.adapter["version"],
        "text": reply.text,
        "outcome": reply.outcome,
        "citations": [asdict(citation) for citation in reply.citations],
        "sentences": sentences,
        "prompt": reply.evidence["prompt"],
        "usage": dict(reply.usage),
        "ms": round((time.perf_counter() - since) * 1000, 1),
        "passages": search["passages"] if isinstance(search, dict) else [],
    }
