"""One question to one brand over the gateway's OpenAI-style interface, in the shape that `ask --json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PATH = "/v1/chat/completions"


def request_body(question: str, brand: str, version: str | None = None) -> dict[str, Any]:
    """What is posted."""
    model = f"{brand}@{version}" if version else brand
    return {"model": model, "messages": [{"role": "user", "content": question}]}


def result(body: Mapping[str, Any]) -> dict[str, Any]:
    """`text`, `outcome`, `citations`, `adapter`, `usage`, `timings_ms`."""
    ours = body["brandvoice"]
    usage = body["usage"]
    return {
        "text": body["choices"][0]["message"]["content"],
        "outcome": ours["outcome"],
        "citations": ours["citations"],
        "adapter": ours["adapter"],
        "usage": {key: usage[key] for key in ("prompt_tokens", "completion_tokens")},
        "timings_ms": ours["timings_ms"],
    }
