"""The engine's client against a small server that streams as vLLM does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from retrieval.prompt import Message
from service.engines.generation import VllmGenerator
from service.errors import AdapterUnknown, ContextTooLong, EngineRefused, ModelUnavailable
from service.ports import Piece, Sampling
from tests.patience import PATIENCE_S

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
USAGE = '{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}'


def token(text: str, finish: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})


def streaming(*events: str, pause_s: float = 0.02) -> Handler:
    """Each event by itself; the connection breaks where no `[DONE]` is among them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(f"data: {event}\n\n".encode())
            await asyncio.sleep(pause_s)
        if "[DONE]" not in events:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handle


def refusing(status: int, message: str) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": message}}, status=status)

    return handle


@asynccontextmanager
async def engine(handle: Handler) -> AsyncIterator[VllmGenerator]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield VllmGenerator(session, f"http://{host}:{port}")
    finally:
        await runner.cleanup()


async def pieces(handle: Handler, gather_s: float = 0.0) -> list[Piece]:
    async with engine(handle) as generator:
        messages = [Message("user", "Hello?")]
        stream = generator.stream(messages, model="base", sampling=Sampling(), gather_s=gather_s)
        return [piece async for piece in stream]


THREE = (token("one "), token("two "), token("three", "stop"), USAGE, "[DONE]")


async def test_tokens_are_handed_on_as_they_come() -> None:
    found = await pieces(streaming(*THREE))
    assert [piece.text for piece in found if piece.text] == ["one ", "two ", "three"]
    assert (found[-1].prompt_tokens, found[-1].completion_tokens) == (7, 3)


async def test_gathered_tokens_follow_the_first_as_one_piece_and_do_not_outwait_the_reply() -> None:
    async with asyncio.timeout(PATIENCE_S):
        found = await pieces(streaming(*THREE), gather_s=10 * PATIENCE_S)
    assert [piece.text for piece in found] == ["one ", "two three"]
    assert found[-1].completion_tokens == 3


async def test_gathering_ends_after_its_time() -> None:
    slow = streaming(token("one "), token("two "), *THREE, pause_s=0.3)
    found = await pieces(slow, gather_s=0.001)
    assert len([piece for piece in found if piece.text]) == 5


@pytest.mark.parametrize("gather_s", [0.0, 60.0])
async def test_a_reply_that_breaks_off_is_an_error(gather_s: float) -> None:
    with pytest.raises(ModelUnavailable):
        await pieces(streaming(token("one "), token("two ")), gather_s)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (404, "no such model", AdapterUnknown),
        (400, "maximum context length is 2048", ContextTooLong),
        (400, "bad temperature", EngineRefused),
        (503, "overloaded", ModelUnavailable),
    ],
)
async def test_a_refusal_says_what_it_means(status: int, message: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await pieces(refusing(status, message))
