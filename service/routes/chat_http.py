"""The OpenAI-style interface: brands are models, and the official client works unchanged.

Source: OpenAI API reference, "Create chat completion" and "List models" (read 2026-11).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from configs.brand import Brand
from retrieval.prompt import Message
from service.bootstrap import Gateway
from service.conversation.events import Reply, Sentence, Token
from service.conversation.wire import reply_json
from service.engines.adapters import active_version, list_adapters
from service.errors import BrandUnknown, RequestInvalid, ServiceError
from service.people import handoffs
from service.problems import openai_error
from service.telemetry import short_hash
from service.turns.grounded import strip_marks
from service.turns.pipeline import Turn

log = logging.getLogger(__name__)

CLOSED = 499
"""For the log: nobody is there to read it."""


class Part(BaseModel):
    """A piece of a message's content; text only."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message of the caller."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None

    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat completion request; sampling fields are taken and left unused, since the brand decides how it speaks."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(description="A brand, or `brand@version`.")
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = 1


def openai_router(gateway: Gateway) -> APIRouter:
    """The routes `/v1/chat/completions` and `/v1/models`."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"], dependencies=[Depends(gateway.keys)])

    @router.post("/chat/completions")
    async def chat_completions(request: ChatRequest, call: Request) -> Response:
        """Answer the last user message from the brand's knowledge, in the brand's voice."""
        turn, warnings = _turn(gateway, request)
        gateway.lanes.admit()
        gateway.limits.take(account=short_hash(call.headers.get("authorization", "")))
        created = int(time.time())
        completion = f"chatcmpl-{uuid.uuid4().hex}"
        if request.stream:
            include_usage = bool(request.stream_options and request.stream_options.include_usage)
            events = _stream(gateway, turn, request.model, completion, created, warnings, include_usage)
            return StreamingResponse(events, media_type="text/event-stream")
        reply = await _unless_gone(call, gateway.pipeline.reply(turn))
        if reply is None:
            return Response(status_code=CLOSED)
        await _hand_over(gateway, turn, reply)
        gateway.metrics.turn(turn.brand.name, "api", reply, reply.timings_ms["total"] / 1000)
        body = {
            "id": completion,
            "object": "chat.completion",
            "created": created,
            "model": request.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": reply.text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _usage(reply),
            "brandvoice": reply_json(reply) | ({"warnings": warnings} if warnings else {}),
        }
        return Response(orjson.dumps(body), media_type="application/json")

    @router.get("/models")
    async def models() -> JSONResponse:
        """Brands and their adapter versions."""
        brands = sorted(gateway.config.brands)
        active = [_model(name, gateway.base_name, active_version(gateway.home, name)) for name in brands]
        versions = [
            _model(f"{info.brand}@{info.version}", info.base_model, info.version)
            for info in list_adapters(gateway.home, gateway.config.brands)
            if info.problem is None
        ]
        return JSONResponse({"object": "list", "data": active + versions})

    @router.get("/models/{model}")
    async def model(model: str) -> JSONResponse:
        """One brand or version."""
        brand, version = _brand(gateway, model)
        return JSONResponse(_model(model, gateway.base_name, version or active_version(gateway.home, brand.name)))

    return router


def _model(name: str, parent: str, version: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "brandvoice",
        "parent": parent,
        "adapter": version,
    }


def _brand(gateway: Gateway, model: str) -> tuple[Brand, str | None]:
    name, _, version = model.partition("@")
    brand = gateway.config.brands.get(name)
    if brand is None:
        known = ", ".join(sorted(gateway.config.brands))
        raise BrandUnknown(f"The model {model!r} does not exist. Brands here: {known}.")
    return brand, version or None


def _turn(gateway: Gateway, request: ChatRequest) -> tuple[Turn, list[str]]:
    brand, version = _brand(gateway, request.model)
    if request.n != 1:
        raise RequestInvalid("Only n=1 is served: a brand gives one answer.", param="n")
    warnings: list[str] = []
    said: list[Message] = []
    for message in request.messages:
        match message.role:
            case "user":
                said.append(Message("user", message.text()))
            case "assistant":
                said.append(Message("assistant", strip_marks(message.text())))
            case _:
                warnings.append(f"A message of role {message.role!r} was not obeyed: the brand's own rules apply.")
    if not said or said[-1].role != "user":
        raise RequestInvalid("The last message must be the user's.", param="messages")
    question = gateway.clean_text(said[-1].content)
    return Turn(brand, question, tuple(said[:-1]), version), warnings


def _usage(reply: Reply) -> dict[str, int]:
    prompt, completion = reply.usage["prompt_tokens"], reply.usage["completion_tokens"]
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _unless_gone(call: Request, work: Coroutine[Any, Any, Reply]) -> Reply | None:
    """The reply; None where the caller closed the line meanwhile, which ends the work at once."""
    answering, gone = asyncio.create_task(work), asyncio.create_task(_gone(call))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        answering.cancel()
        gone.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)


async def _gone(call: Request) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass


async def _hand_over(gateway: Gateway, turn: Turn, reply: Reply) -> None:
    if reply.outcome == "handed_off":
        await handoffs.open_handoff(gateway.db, brand=turn.brand.name, reason="asked for a person over the API")
        gateway.wake()


async def _stream(
    gateway: Gateway,
    turn: Turn,
    model: str,
    completion: str,
    created: int,
    warnings: list[str],
    include_usage: bool,
) -> AsyncIterator[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        body = {
            "id": completion,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            **more,
        }
        return b"data: " + orjson.dumps(body) + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(gateway.pipeline.stream(turn)) as events:
            async for event in events:
                if isinstance(event, Sentence):
                    yield chunk({"content": event.text if event.index == 0 else " " + event.text})
                elif isinstance(event, Token):
                    yield chunk({"content": event.text})
                elif isinstance(event, Reply):
                    await _hand_over(gateway, turn, event)
                    gateway.metrics.turn(turn.brand.name, "api", event, event.timings_ms["total"] / 1000)
                    extra = reply_json(event) | ({"warnings": warnings} if warnings else {})
                    if not include_usage:
                        yield chunk({}, "stop", brandvoice=extra)
                    else:
                        yield chunk({}, "stop")
                        last = {
                            "id": completion,
                            "object": "chat.completion.chunk",
                            "created": created,
                            "model": model,
                            "choices": [],
                            "usage": _usage(event),
                            "brandvoice": extra,
                        }
                        yield b"data: " + orjson.dumps(last) + b"\n\n"
        yield b"data: [DONE]\n\n"
    except ServiceError as error:
        log.warning("api_stream_failed", extra={"code": error.code})
        yield b"data: " + orjson.dumps(openai_error(error)) + b"\n\n"
