"""An engine that repeats the marks of the question, so that each sentence of a reply can be found on the platform."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MARK = re.compile(r"k\d{5}x\d{2}")
"""A person's number and the number of their message."""
POISON = "of poison"
"""A question with this is answered by something that nobody can read."""
LONG = re.compile(r"in (\d+) parts")


@dataclass
class Engine:
    """Speaks OpenAI's stream; it can be slow, and it can be away."""

    first_token_s: float = 0.0
    pace_s: float = 0.0
    port: int = 0
    spoken: list[tuple[str, float, float]] = field(default_factory=list)
    """Of each generation that came to its end: the person's part of its first mark, when it began and ended."""
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the port of the life before."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_route("*", "/{path:.*}", self._other)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be away; open answers break off."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _other(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        began = time.monotonic()
        try:
            sentences = reply_to(body["messages"][-1]["content"])
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await asyncio.sleep(self.first_token_s)
            with contextlib.suppress(ConnectionError):
                await response.prepare(request)
                if POISON in body["messages"][-1]["content"]:
                    await response.write(b"data: {no json\n\n")
                for sentence in sentences:
                    await _event(response, {"choices": [{"delta": {"content": sentence}, "finish_reason": None}]})
                    await asyncio.sleep(self.pace_s)
                await _event(response, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
                await _event(response, {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20}})
                await response.write(b"data: [DONE]\n\n")
                if found := MARK.search(sentences[0]):
                    self.spoken.append((found[0].partition("x")[0], began, time.monotonic()))
            return response
        finally:
            self.at_once -= 1


def reply_to(prompt: str) -> list[str]:
    """A sentence a mark of the question; numbered sentences of 200 characters where it asks for parts."""
    marks = list(dict.fromkeys(MARK.findall(prompt)))
    if not marks:
        return ["You can return an unopened item within 30 days of delivery."]
    if (long := LONG.search(prompt)) is None:
        return [f"Item {mark}p000 may go back within 30 days. " for mark in marks]
    filler = "it may go back within thirty days of its delivery to you " * 3
    return [f"Item {mark}p{part:03d}, {filler[:180]}. " for mark in marks for part in range(int(long[1]))]


async def _event(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(event)}\n\n".encode())
