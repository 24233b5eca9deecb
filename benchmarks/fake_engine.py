"""The stand-in engine: raw ASGI that speaks OpenAI's stream, so fast that it is never the bottleneck.

    uvicorn benchmarks.fake_engine:app --port 9000

As a command it has the length and pace of its replies from the environment: FAKE_TOKENS, FAKE_PACE_MS. An experiment
starts an `Engine` beside itself, which it can slow down and take away. Where a question has marks, the reply repeats
them, so that each sentence of it can be found on the platform.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import uvicorn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SENTENCE = "You can return an unopened item within 30 days of delivery."
WORDS = [word + " " for word in SENTENCE.split()]
MARK = re.compile(r"k\d{5}x\d{2}")
"""A person's number and the number of their message."""
POISON = "of poison"
"""A question with this is answered by something that nobody can read."""
LONG = re.compile(r"in (\d+) parts")


class Said(NamedTuple):
    """An answer, and what it is said to have cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int


@dataclass
class Engine:
    """An application that answers chats; `start` makes it a server in this process."""

    tokens: int = len(WORDS)
    """Of a reply to a question without marks; with marks it is a piece a sentence."""
    pace_s: float = 0.0
    """After each piece."""
    first_token_s: float = 0.0
    port: int = 0
    says: Callable[[dict[str, Any]], Said] | None = None
    """What it says to a request, in one piece; where absent, sentences of its own."""
    moments: list[float] = field(default_factory=list)
    """When the last token of each sentence was handed to the socket (CLOCK_MONOTONIC, which all processes of a machine
    share); GET /moments hands them out."""
    spoken: list[tuple[str, float, float]] = field(default_factory=list)
    """Of each reply with marks that came to its end: the person's part of its first mark, when it began and ended."""
    _server: uvicorn.Server | None = None
    _serving: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        words = [WORDS[at % len(WORDS)] for at in range(self.tokens)]
        usage = _usage(100, self.tokens)
        self._chunks = [_chunk(word) for word in words]
        self._end = _end(usage)
        choice = {"index": 0, "message": {"role": "assistant", "content": "".join(words)}, "finish_reason": "stop"}
        whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "base"}
        self._whole = json.dumps({**whole, "choices": [choice], "usage": usage}).encode()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the port of the life before."""
        config = uvicorn.Config(
            self, port=self.port, log_config=None, log_level="critical", lifespan="off", timeout_graceful_shutdown=0
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be away; open answers break off."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._serving
        self._server = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer chat completions and the moments; all else is well."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), bool(message.get("more_body"))
        if scope["path"].endswith("/chat/completions"):
            asked = json.loads(body)
            if asked.get("stream"):
                await self._stream(asked, send)
            else:
                await _json(send, self._whole)
        elif scope["path"] == "/moments":
            await _json(send, json.dumps(self.moments).encode())
            self.moments.clear()
        else:
            await _json(send, b"{}")

    async def _stream(self, asked: dict[str, Any], send: Send) -> None:
        began, question = time.monotonic(), asked["messages"][-1]["content"]
        marks = [] if self.says else list(dict.fromkeys(MARK.findall(question)))
        chunks = [_chunk(sentence) for sentence in _repeated(marks, question)] if marks else self._chunks
        end = self._end
        if self.says:
            said = self.says(asked)
            chunks, end = [_chunk(said.text)], _end(_usage(said.prompt_tokens, said.completion_tokens))
        if self.first_token_s:
            await asyncio.sleep(self.first_token_s)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if POISON in question:
            await send({"type": "http.response.body", "body": b"data: {no json\n\n", "more_body": True})
        next_at = time.monotonic()
        for at, chunk in enumerate(chunks):
            # A sentence is complete for the gateway once a token of the next one has come.
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if at % len(WORDS) == 0 and at:
                self.moments.append(time.monotonic())
            if self.pace_s or marks:
                # Unpaced too, where an experiment runs beside it: a reply of 300 pieces would hold up its loop.
                next_at += self.pace_s
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        await send({"type": "http.response.body", "body": end, "more_body": False})
        if marks:
            self.spoken.append((marks[0].partition("x")[0], began, time.monotonic()))


def _repeated(marks: list[str], question: str) -> list[str]:
    """A sentence a mark of the question; numbered sentences of 200 characters where it asks for parts."""
    if (long := LONG.search(question)) is None:
        return [f"Item {mark}p000 may go back within 30 days. " for mark in marks]
    filler = "it may go back within thirty days of its delivery to you " * 3
    return [f"Item {mark}p{part:03d}, {filler[:180]}. " for mark in marks for part in range(int(long[1]))]


def _chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return _event({"id": "x", "object": "chat.completion.chunk", "choices": [choice]})


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _end(usage: dict[str, int]) -> bytes:
    return _chunk("", "stop") + _event({"id": "x", "choices": [], "usage": usage}) + b"data: [DONE]\n\n"


def _event(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


async def _json(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = Engine(int(os.environ.get("FAKE_TOKENS", "64")), float(os.environ.get("FAKE_PACE_MS", "0")) / 1000)
