"""The platforms' side of a measurement: takes what gateways send, and knows what people get to see.

    uvicorn benchmarks.platforms_under_test:app --port 9003

A call with a key that was seen shows nothing new, and an edit replaces what was there, as on the real platforms. What
people see stands at GET /shown: who it is for, how often it was shown as a message of its own, how many calls came.
PLATFORM_DELAY_MS: each call is taken at once and answered that much later.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from channels.base import Request as Call
from channels.registry import PLATFORMS

DELAY_S = float(os.environ.get("PLATFORM_DELAY_MS", "0")) / 1000
KEY = "x-line-retry-key"

app = FastAPI()
_shown: list[dict[str, Any]] = []
_numbers = itertools.count(1)


@app.get("/livez")
async def livez() -> JSONResponse:
    """It answers."""
    return JSONResponse({"status": "ok"})


@app.get("/shown")
async def shown() -> JSONResponse:
    """Messages that people see, in the order in which they came up."""
    return JSONResponse(_shown)


@app.api_route("/simulator/{channel}/{path:path}", methods=["POST", "PATCH", "PUT"])
async def take(channel: str, path: str, request: Request) -> Response:
    """Take one call of a channel."""
    stand_in = PLATFORMS[channel].stand_in
    headers = {name.lower(): value for name, value in request.headers.items()}
    fields = json.loads(await request.body() or b"{}")
    call = Call(request.method, str(request.url), headers, fields)
    status, answered, body = stand_in.answer(call, number=next(_numbers))
    if 200 <= status < 300 and (texts := stand_in.texts(call)):
        # An edit has the same address each time, a call with a key the same key; any other is a message of its own.
        once = headers.get(KEY) or (path if request.method == "PATCH" else None)
        known = next((one for one in _shown if once and one["once"] == once), None)
        if known:
            known["calls"] += 1
        else:
            to = fields.get("to") or fields.get("channel") or path
            _shown.append({"channel": channel, "to": to, "once": once, "texts": texts, "calls": 1, "at": time.time()})
    if DELAY_S:
        await asyncio.sleep(DELAY_S)
    return Response(body, status, dict(answered))
