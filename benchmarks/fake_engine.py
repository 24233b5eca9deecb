"""A raw ASGI engine that speaks OpenAI's stream: so fast that it is never the bottleneck.

    uvicorn benchmarks.fake_engine:app --port 9000

The reply's length and pace come in the path of the environment: FAKE_TOKENS, FAKE_PACE_MS. Each token's moment of
sending is kept (CLOCK_MONOTONIC, which all processes of a machine share) and handed out at GET /moments.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SENTENCE = "You can return an unopened item within 30 days of delivery."
WORDS = [word + " " for word in SENTENCE.split()]
TOKENS = int(os.environ.get("FAKE_TOKENS", "64"))
PACE_S = float(os.environ.get("FAKE_PACE_MS", "0")) / 1000
moments: list[float] = []
"""When the last token of each sentence was handed to the socket."""


def _chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return (
        b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


CHUNKS = [_chunk(WORDS[at % len(WORDS)]) for at in range(TOKENS)]
LAST = _chunk("", "stop")
USAGE = (
    b"data: "
    + json.dumps(
        {
            "id": "x",
            "choices": [],
            "usage": {"prompt_tokens": 100, "completion_tokens": TOKENS, "total_tokens": 100 + TOKENS},
        }
    ).encode()
    + b"\n\ndata: [DONE]\n\n"
)
WHOLE = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "base",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "".join(WORDS[at % len(WORDS)] for at in range(TOKENS))},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": TOKENS, "total_tokens": 100 + TOKENS},
    }
).encode()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer chat completions, health, and the moments."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    path = scope["path"]
    if path.endswith("/chat/completions"):
        if b'"stream":true' in body.replace(b" ", b""):
            await _stream(send)
        else:
            await _json(send, WHOLE)
    elif path == "/moments":
        await _json(send, json.dumps(moments).encode())
        moments.clear()
    else:
        await _json(send, b"{}")


async def _stream(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    next_at = time.monotonic()
    for at, chunk in enumerate(CHUNKS):
        if PACE_S:
            next_at += PACE_S
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        # A sentence is complete for the gateway once a token of the next one has come.
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if at % len(WORDS) == 0 and at:
            moments.append(time.monotonic())
    await send({"type": "http.response.body", "body": LAST + USAGE, "more_body": False})


async def _json(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
