"""An engine as the gateway sees vLLM: it knows the adapters that it was given, and can be killed and started anew."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.patience import PATIENCE_S
from tests.unit.made_adapters import CANARY

USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
WORDS = 6


@dataclass
class FakeEngine:
    """Answers each chat with the name of the model that was asked, a word at a time."""

    pace_s: float = 0.001
    ignores: set[str] = field(default_factory=set)
    """Adapters that it takes and does not apply."""
    on_chat: Callable[[], object] = lambda: None
    refuses_with: int | None = None
    """Status of every chat."""
    breaks_after: int | None = None
    """Words after which every chat is cut off."""
    loads: list[tuple[str, str]] = field(default_factory=list)
    """Every adapter that it was ever given: name, path."""
    chats: list[dict[str, Any]] = field(default_factory=list)
    """Bodies, with the moment that each came."""
    turned_away: list[str] = field(default_factory=list)
    """Models that were asked for a chat and are not here."""
    unproven: list[str] = field(default_factory=list)
    """Adapters that were asked for a chat before they were tried in this life."""
    most_at_once: int = 0
    words: int = WORDS
    """Of each answer."""
    says: str = ""
    """In place of the model's name, word by word."""
    written: int = 0
    """Words that it was asked for and made."""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    """No word is said while a test has it cleared."""
    cut: int = 0
    """How many answers were cut off by a reader who hung up."""
    _loaded: set[str] = field(default_factory=set)
    _tried: set[str] = field(default_factory=set)
    _open: list[web.Request] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    port: int = 0

    def __post_init__(self) -> None:
        self.goes_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start with no adapter, on the port of the life before."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._loaded.clear()
        self._tried.clear()
        # As vLLM does, it ends a generation whose reader hung up.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """As kill -9: open answers break off."""
        for request in list(self._open):
            if request.transport is not None:
                request.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _load(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["lora_name"] in self._loaded:
            return web.json_response({"message": "has already been loaded"}, status=400)
        self.loads.append((body["lora_name"], body["lora_path"]))
        self._loaded.add(body["lora_name"])
        return web.Response(text="ok")

    async def _unload(self, request: web.Request) -> web.Response:
        self._loaded.discard((await request.json())["lora_name"])
        return web.Response(text="ok")

    def _knows(self, model: str) -> bool:
        return "@" not in model or model in self._loaded

    async def _tokenize(self, request: web.Request) -> web.Response:
        return web.json_response({"tokens": list(CANARY.prompt_tokens)})

    async def _completions(self, request: web.Request) -> web.Response:
        body = await request.json()
        model = body["model"]
        if not self._knows(model):
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        self._tried.add(model)
        plain = "@" not in model or model in self.ignores
        value = -2.0 if plain else -0.2
        tokens = [CANARY.reply_tokens[probe.at] for probe in CANARY.probes]
        rows = [
            {"index": at, "logprobs": {"top_logprobs": [{f"token_id:{token}": value}]}}
            for at, token in enumerate(tokens)
        ]
        return web.json_response({"choices": rows})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        model = body["model"]
        self.on_chat()
        if self.refuses_with:
            return web.json_response({"error": {"message": "not now"}}, status=self.refuses_with)
        if not self._knows(model):
            self.turned_away.append(model)
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        if "@" in model and model not in self._tried:
            self.unproven.append(model)
        self.chats.append(body | {"at": time.monotonic()})
        self._open.append(request)
        self.most_at_once = max(self.most_at_once, len(self._open))
        try:
            return await self._say(request, model)
        except asyncio.CancelledError:
            self.cut += 1
            raise
        finally:
            self._open.remove(request)

    async def _say(self, request: web.Request, model: str) -> web.StreamResponse:
        response = web.StreamResponse()
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            words = [f"{word} " for word in self.says.split()] or [f"{model} "] * self.words
            for at, word in enumerate(words):
                await self.goes_on.wait()
                if at == self.breaks_after:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                await self._event(response, {"choices": [{"delta": {"content": word}, "finish_reason": None}]})
                self.written += 1
                await asyncio.sleep(self.pace_s)
            await self._event(response, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
            await self._event(response, USAGE)
            await response.write(b"data: [DONE]\n\n")
        return response

    @staticmethod
    async def _event(response: web.StreamResponse, event: object) -> None:
        await response.write(f"data: {json.dumps(event)}\n\n".encode())


@asynccontextmanager
async def running(*engines: FakeEngine) -> AsyncIterator[None]:
    """Started, and ended at the end."""
    for engine in engines:
        await engine.start()
    try:
        yield
    finally:
        for engine in engines:
            await engine.kill()


async def until(holds: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
