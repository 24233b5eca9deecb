"""Is it alive, can it answer, and what does it count."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.bootstrap import Gateway
from service.engines.breaker import best
from service.errors import StorageError

PING_S = 3.0


def health_router(gateway: Gateway) -> APIRouter:
    """The routes `/livez`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["Health"])

    @router.get("/livez")
    async def livez() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Engine, its breaker, database and index can serve; 503 with the reasons where one cannot."""
        checks = {
            "engine": gateway.engine.state,
            "breaker": best(gateway.breakers.values()),
            "database": await _database(gateway),
            "index": _index(gateway),
        }
        good = {"engine": ("ready",), "breaker": ("closed", "half-open"), "database": ("ok",), "index": ("ok",)}
        ready = all(checks[name] in states for name, states in good.items())
        body = {"status": "ok" if ready else "not_ready", "checks": checks, "problems": list(gateway.problems)}
        return JSONResponse(body, 200 if ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text format."""
        return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


async def _database(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(PING_S):
            await gateway.db.ping()
    except (StorageError, TimeoutError):
        return "unavailable"
    return "ok"


def _index(gateway: Gateway) -> str:
    empty = sorted(name for name, knowledge in gateway.knowledge.items() if not knowledge.documents())
    return f"empty: {', '.join(empty)}" if empty else "ok"
