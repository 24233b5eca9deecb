"""An engine for pictures, which answers the sample conversations' questions as they do.

`uvicorn benchmarks.pictures.engine:app` serves it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BRANDS = ("velmora", "dicehollow")
OTHER = "An unopened item can be returned within 30 days of delivery."
Message = dict[str, Any]


def exchanges(brand: str) -> list[tuple[str, str]]:
    """Questions of a brand's sample conversations, each with its answer."""
    found = []
    for line in (SAMPLES / brand / "conversations.jsonl").read_text("utf-8").splitlines():
        messages = json.loads(line)["messages"]
        if len(messages) == 2 and messages[1].get("outcome") == "answered":
            found.append((str(messages[0]["content"]), str(messages[1]["content"])))
    return found


ANSWERS = {(brand, question): answer for brand in BRANDS for question, answer in exchanges(brand)}


def answer(model: str, messages: list[Message]) -> str:
    """What it says; of a brand that the model's name does not tell, the first that knows the question."""
    said = str(messages[-1]["content"])
    question = said.rsplit("\n", 1)[-1].removeprefix("Question:").strip()
    named = [brand for brand in BRANDS if model.startswith(brand)] or BRANDS
    return next((ANSWERS[brand, question] for brand in named if (brand, question) in ANSWERS), OTHER)


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Stream chat completions; anything else is `{}`."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    chat = scope["path"].endswith("/chat/completions")
    kind = b"text/event-stream" if chat else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if not chat:
        await send({"type": "http.response.body", "body": b"{}"})
        return
    asked = json.loads(body)
    text = answer(str(asked.get("model", "")), asked["messages"])
    lines: list[Message] = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}]
    lines.append({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
    lines.append({"choices": [], "usage": {"prompt_tokens": 412, "completion_tokens": len(text) // 4}})
    for line in lines:
        await send(
            {"type": "http.response.body", "body": b"data: %b\n\n" % json.dumps(line).encode(), "more_body": True}
        )
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})
