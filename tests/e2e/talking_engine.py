"""An engine for pages, which answers by what stands in the prompt: `uvicorn tests.e2e.talking_engine:app` serves it.

With the voice guide it says GUIDED, else BARE; a question that ends in `#7?` gets line 7 of the JSON list that the
variable PAYLOADS names.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

GUIDED = "Do allow us to help! An unopened item can be returned within 30 days of delivery."
BARE = "Hello there! An unopened item can be returned within 30 days of delivery. It costs $9 to send it back."
USAGE = {"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 24}}


def answer(messages: list[dict[str, str]]) -> str:
    """What it says."""
    if asked := re.search(r"#(\d+)\?$", messages[-1]["content"]):
        return str(json.loads(Path(os.environ["PAYLOADS"]).read_text("utf-8"))[int(asked[1])]["payload"])
    return GUIDED if "Voice guide:" in messages[0]["content"] else BARE


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Streams chat completions; anything else is `{}`."""
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
    said = answer(json.loads(body)["messages"])
    for text, finish in ((said, None), ("", "stop")):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        line = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": line, "more_body": True})
    last = b"data: " + json.dumps(USAGE).encode() + b"\n\ndata: [DONE]\n\n"
    await send({"type": "http.response.body", "body": last, "more_body": False})
