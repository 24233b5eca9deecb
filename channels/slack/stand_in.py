"""Slack's side: what chat.postMessage checks and answers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from channels.base import Request
from channels.stand_in import PlatformAnswer, bearer

HARD_LIMIT_CHARS = 40_000
"""Source: docs.slack.dev/reference/methods/chat.postMessage."""


class SlackStandIn:
    """Source: docs.slack.dev/reference/methods/chat.postMessage, "Common successful response" (2026-11)."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """Slack says no with a 200."""
        path = urlsplit(call.url).path
        if call.method == "POST" and path.endswith("/assistant.threads.setStatus"):
            return 200, {"content-type": "application/json"}, b'{"ok":true}'
        if call.method != "POST" or not path.endswith("/chat.postMessage"):
            return 404, {}, b""
        body = json.dumps(self._answer(call, number)).encode()
        return 200, {"content-type": "application/json"}, body

    def texts(self, call: Request) -> tuple[str, ...]:
        """The text."""
        text = call.fields.get("text")
        return (text,) if isinstance(text, str) and text else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """In the same channel, and the same thread."""
        return all(call.fields.get(key) == value for key, value in reply_to.items())

    def somebody(self) -> str:
        """A user id."""
        return f"U0{secrets.token_hex(4).upper()}"

    def _answer(self, call: Request, number: int) -> dict[str, object]:
        text, channel = "".join(self.texts(call)), call.fields.get("channel")
        if not bearer(call):
            return {"ok": False, "error": "not_authed"}
        if not channel:
            return {"ok": False, "error": "channel_not_found"}
        if not text.strip():
            return {"ok": False, "error": "no_text"}
        if len(text) > HARD_LIMIT_CHARS:
            return {"ok": False, "error": "msg_too_long"}
        ts = f"1700000000.{number:06d}"
        return {"ok": True, "channel": channel, "ts": ts, "message": {"type": "message", "text": text, "ts": ts}}
