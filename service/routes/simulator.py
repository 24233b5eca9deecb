"""The platforms' side of the simulator: takes what channels send, answers as the platform would, and shows it."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from channels.base import Request as Call
from channels.registry import PLATFORMS
from service.bindings.simulator import PATH

KEPT_CALLS = 1000


def simulator_router() -> APIRouter:
    """The routes `/simulator/<channel>/...`; mounted only where `service.simulator` is on."""
    router = APIRouter(prefix=PATH, include_in_schema=False)
    calls: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)
    numbers = itertools.count(1)
    last = 0

    @router.get("/{channel}/calls")
    async def recorded(channel: str, since: int = 0) -> dict[str, Any]:
        """Calls after the number `since`, oldest first."""
        found = [call for call in calls if call["number"] > since and call["channel"] == channel]
        return {"calls": found, "last": last}

    @router.api_route("/{channel}/{path:path}", methods=["POST", "PATCH", "PUT"])
    async def take(channel: str, path: str, request: Request) -> Response:
        """Take one call of a channel."""
        nonlocal last
        platform = PLATFORMS.get(channel)
        if platform is None:
            raise HTTPException(404, f"The simulator knows no platform {channel!r}.")
        number = next(numbers)
        call = await _call(request)
        status, headers, body = platform.stand_in.answer(call, number=number)
        if 200 <= status < 300:
            last = number
            shown = {"number": number, "channel": channel, "method": call.method, "path": path}
            # Headers stay out: they carry the token.
            calls.append({**shown, "json": dict(call.fields), "texts": list(platform.stand_in.texts(call))})
        return Response(body, status, dict(headers))

    return router


async def _call(request: Request) -> Call:
    """The call as the channel made it."""
    url, headers = str(request.url), {name.lower(): value for name, value in request.headers.items()}
    body = await request.body()
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return Call(request.method, url, headers, form=dict(parse_qsl(body.decode(errors="replace"))))
    try:
        fields = await request.json()
    except ValueError as error:
        raise HTTPException(400, "The call carries no JSON.") from error
    if not isinstance(fields, dict):
        raise HTTPException(400, "The call carries JSON that is no object.")
    return Call(request.method, url, headers, fields)
