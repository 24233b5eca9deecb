"""Client of the engine's OpenAI interface.

aiohttp, not httpx: a third of the CPU for each streamed token. Whatever lies in the socket's buffer is handed on as
one piece, so a slow reader gets fewer, larger pieces instead of a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from retrieval.prompt import Message
from service.errors import AdapterUnknown, ContextTooLong, EngineAway, EngineLost, EngineRefused, ModelUnavailable
from service.ports import Piece, Sampling

FIRST_TOKEN_S = 30.0
"""A laptop under load needs seconds to read a prompt; an engine that is silent for longer is taken for dead."""
BETWEEN_TOKENS_S = 15.0


class VllmGenerator:
    """Streams chat completions from one engine."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/") + "/v1/chat/completions"

    async def stream(
        self, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        """Generate text as `Generator.stream` says."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "repetition_penalty": sampling.repetition_penalty,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=FIRST_TOKEN_S)
        try:
            async with self._session.post(
                self._url,
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
                timeout=timeout,
            ) as response:
                if response.status != 200:
                    raise _refusal(response.status, await response.read(), model)
                async for piece in _pieces(response.content, gather_s):
                    yield piece
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            kind = EngineAway if isinstance(error, aiohttp.ClientConnectorError) else EngineLost
            raise kind(
                f"The engine at {self._url!r} stopped answering ({type(error).__name__}). "
                "It is restarted by the gateway; try again in a minute, or look into runs/engine.log."
            ) from error


async def _pieces(content: aiohttp.StreamReader, gather_s: float) -> AsyncGenerator[Piece, None]:
    buffer = b""
    finish_reason: str | None = None
    async for data in content.iter_any():
        *lines, buffer = (buffer + data).split(b"\n")
        events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        piece, finish_reason = _joined([event for event in events if event != b"[DONE]"], finish_reason)
        if piece is not None:
            yield piece
        if b"[DONE]" in events:
            return
        if gather_s and piece is not None:
            await _ended(content, gather_s)
    if finish_reason is None:
        raise EngineLost("The engine closed the connection in the middle of a reply.")


async def _ended(content: aiohttp.StreamReader, patience_s: float) -> None:
    """Wait, but not beyond the end of the reply."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await content.wait_eof()


def _joined(events: list[bytes], finish_reason: str | None) -> tuple[Piece | None, str | None]:
    """All text of these events as one piece, and why the generation ended, once it has."""
    text: list[str] = []
    usage: Mapping[str, int] | None = None
    for payload in events:
        event = orjson.loads(payload)
        if event.get("error"):
            raise ModelUnavailable(f"The engine broke off: {event['error'].get('message', 'no reason given')!r}.")
        for choice in event.get("choices", ()):
            text.append(choice.get("delta", {}).get("content") or "")
            finish_reason = choice.get("finish_reason") or finish_reason
        usage = event.get("usage") or usage
    if usage:
        counts = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
        return Piece("".join(text), *counts, finish_reason), finish_reason
    joined = "".join(text)
    return (Piece(joined) if joined else None), finish_reason


def _refusal(status: int, body: bytes, model: str) -> Exception:
    try:
        parsed = orjson.loads(body)
        error = parsed.get("error", parsed)
        message = str(error.get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        message = body[:200].decode("utf-8", "replace")
    if status == 404:
        return AdapterUnknown(f"The engine serves no model {model!r}. Promote the adapter again to load it.")
    if status == 400 and "context length" in message:
        return ContextTooLong(f"The prompt does not fit the model: {message[:300]}")
    if status >= 500 or status == 429:
        return ModelUnavailable(f"The engine answered {status}: {message[:300]!r}.")
    return EngineRefused(f"The engine refused the request ({status}): {message[:300]!r}.")
