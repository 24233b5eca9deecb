"""The floor: the least that a gateway in Python can do, a pass-through on FastAPI and aiohttp.

FLOOR_UPSTREAM=http://127.0.0.1:9000 uvicorn benchmarks.floor:app --port 9001
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

UPSTREAM = os.environ.get("FLOOR_UPSTREAM", "http://127.0.0.1:9000")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/chat/completions")
async def relay(request: Request) -> Response:
    """Hand the bytes on, both ways."""
    body = await request.body()
    session: aiohttp.ClientSession = request.app.state.session
    headers = {"Content-Type": "application/json"}
    if b'"stream":true' not in body.replace(b" ", b""):
        async with session.post(f"{UPSTREAM}/v1/chat/completions", data=body, headers=headers) as response:
            return Response(await response.read(), response.status, media_type="application/json")

    async def pieces() -> AsyncIterator[bytes]:
        async with session.post(f"{UPSTREAM}/v1/chat/completions", data=body, headers=headers) as response:
            async for data in response.content.iter_any():
                yield data

    return StreamingResponse(pieces(), media_type="text/event-stream")
