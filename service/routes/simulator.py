"""The platforms' side of the simulator: takes what channels send, answers as the platform would, and shows it."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import deque
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from service.simulator import PATH

KEPT_CALLS = 1000


def simulator_router() -> APIRouter:
    """The routes `/simulator/<channel>/...`; mounted only where `service.simulator` is on."""
    router = APIRouter(prefix=PATH, tags=["Simulator"])
    calls: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)
    numbers = itertools.count(1)
    last = 0

    @router.get("/{channel}/calls")
    async def recorded(channel: str, since: int = 0) -> dict[str, Any]:
        """Calls after the number `since`, oldest first."""
        found = [call for call in calls if call["number"] > since and call["channel"] == channel]
        return {"calls": found, "last": last}

    @router.post("/{channel}/{path:path}")
    async def take(channel: str, path: str, request: Request) -> dict[str, Any]:
        """Take one call of a channel."""
        nonlocal last
        if channel not in ("slack", "whatsapp"):
            raise HTTPException(404, f"The simulator knows no platform {channel!r}.")
        try:
            body = await request.json()
        except ValueError as error:
            raise HTTPException(400, "The call carries no JSON.") from error
        last = next(numbers)
        # Headers stay out: they carry the token.
        calls.append({"number": last, "channel": channel, "path": path, "json": body})
        return _slack_answer(body) if channel == "slack" else _whatsapp_answer(body)

    return router


def _slack_answer(body: dict[str, Any]) -> dict[str, Any]:
    """Source: docs.slack.dev/reference/methods/chat.postMessage, "Common successful response" (2026-11)."""
    return {
        "ok": True,
        "channel": body.get("channel"),
        "ts": f"{time.time():.6f}",
        "message": {"text": body.get("text")},
    }


def _whatsapp_answer(body: dict[str, Any]) -> dict[str, Any]:
    """Source: developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages, "Response" (2026-11)."""
    to = body.get("to") or body.get("recipient")
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": to, "wa_id": to}],
        "messages": [{"id": f"wamid.{secrets.token_hex(16).upper()}"}],
    }
