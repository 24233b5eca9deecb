"""The bench for programs: one question, answered at once by up to four voices from the same passages."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from configs.verdict import BASE_VERSION
from service.bootstrap import Gateway
from service.console.access import Editor, Role
from service.engines.adapters import active_version
from service.errors import brand_of
from service.turns.pipeline import Turn
from service.turns.side_by_side import MOST, Contender, turns_of


class BenchRequest(BaseModel):
    """What to compare."""

    brand: str
    question: str = Field(description="One question without a history.")
    versions: tuple[str, ...] = Field(
        default=(),
        max_length=MOST,
        description="Adapter versions, `base` for the base model with the voice guide; where absent `base` beside what "
        "speaks now. With `:no-guide` behind it the base model gets no guide, with `:no-knowledge` a voice gets no "
        "passages.",
    )
    served: bool = Field(
        default=False,
        description="Answer as customers are answered, instead of showing all that the model wrote.",
    )


def bench_router(gateway: Gateway) -> APIRouter:
    """The route `/v1/bench`."""
    router = APIRouter(prefix="/v1", tags=["Bench"])

    @router.post("/bench")
    async def bench(person: Editor, request: BenchRequest) -> dict[str, Any]:
        """Answer with up to four voices side by side, from the same passages."""
        person.must(Role.EDITOR, request.brand)
        brand = brand_of(gateway.config.brands, request.brand)
        question = gateway.clean_text(request.question)
        gateway.lanes.admit()
        names = request.versions or (BASE_VERSION, active_version(gateway.home, brand.name) or BASE_VERSION)
        voices = [Contender.parse(name) for name in names]
        turns = await turns_of(gateway.pipeline, Turn(brand, question), voices, served=request.served)
        columns = await asyncio.gather(*(_column(gateway, *one) for one in zip(names, turns, strict=True)))
        passages, *_ = [column.pop("passages") for column in columns]
        return {"question": question, "passages": passages, "columns": columns}

    return router


async def _column(gateway: Gateway, name: str, turn: Turn) -> dict[str, Any]:
    since = time.perf_counter()
    reply = await gateway.pipeline.reply(turn)
    kept = reply.evidence.get("generations")
    generations = kept if isinstance(kept, list) else []
    sentences = generations[-1].get("sentences", []) if generations else []
    search = reply.evidence.get("search")
    return {
        "name": name,
        "version": reply.adapter["version"],
        "text": reply.text,
        "outcome": reply.outcome,
        "citations": [asdict(citation) for citation in reply.citations],
        "sentences": sentences,
        "decision": reply.evidence["decision"],
        "generations": generations,
        "prompt": reply.evidence.get("prompt", []),
        "usage": dict(reply.usage),
        "timings_ms": dict(reply.timings_ms),
        "ms": round((time.perf_counter() - since) * 1000, 1),
        "passages": search["passages"] if isinstance(search, dict) else [],
    }
