"""Discord's side: what the messages of an interaction are checked for, and the answers."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from channels.base import Request
from channels.discord.rendering import MAX_TEXT_CHARS
from channels.stand_in import PlatformAnswer

_PATH = re.compile("/webhooks/([^/]+)/([^/]+)(/messages/(?:@|%40)original)?$")
SETTABLE_FLAGS = 1 << 2 | 1 << 15
"""SUPPRESS_EMBEDS and IS_COMPONENTS_V2 are what an edit may set."""


class DiscordStandIn:
    """Source: discord.com/developers/docs/resources/webhook#edit-webhook-message and #execute-webhook."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {"private_key": lambda: secrets.token_hex(32)}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """An error has a code and a status."""
        status, body = self._answer(call, number)
        return status, {"content-type": "application/json"}, json.dumps(body).encode()

    def texts(self, call: Request) -> tuple[str, ...]:
        """The content."""
        content = call.fields.get("content")
        return (content,) if isinstance(content, str) and content else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """With the token of the same command."""
        path = _PATH.search(urlsplit(call.url).path)
        return path is not None and unquote(path[2]) == reply_to.get("token")

    def somebody(self) -> str:
        """A person's id."""
        return str(2**60 + secrets.randbelow(2**60))

    def _answer(self, call: Request, number: int) -> tuple[int, dict[str, object]]:
        path = _PATH.search(urlsplit(call.url).path)
        if path is None:
            return 404, _error(0, "404: Not Found")
        if call.method != ("PATCH" if path[3] else "POST"):
            return 405, _error(0, "405: Method Not Allowed")
        if not path[1].isdigit():
            return 400, _error(50035, "Invalid Form Body")
        if not _is_token(unquote(path[2])):
            return 401, _error(50027, "Invalid Webhook Token")
        content = "".join(self.texts(call))
        if not content.strip():
            return 400, _error(50006, "Cannot send an empty message")
        flags = call.fields.get("flags", 0)
        if len(content) > MAX_TEXT_CHARS or not isinstance(flags, int) or flags & ~SETTABLE_FLAGS:
            return 400, _error(50035, "Invalid Form Body")
        sent = {"id": str(10**18 + number), "type": 20 if path[3] else 0, "application_id": path[1]}
        return 200, {**sent, "content": content, "flags": flags}


def _is_token(text: str) -> bool:
    """Tokens are base64 of `interaction:<id>:<rest>`."""
    try:
        kind, number, rest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(":", 2)
    except ValueError:
        return False
    return kind == "interaction" and number.isdigit() and bool(rest)


def _error(code: int, message: str) -> dict[str, object]:
    return {"code": code, "message": message}
