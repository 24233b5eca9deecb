"""LINE's side: what its reply, push and loading calls check and answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit
from uuid import UUID

from channels.base import Request
from channels.graphemes import length
from channels.line.rendering import MAX_MESSAGES, MAX_TEXT_CHARS
from channels.stand_in import PlatformAnswer, bearer, headers_of


class LineStandIn:
    """The Messaging API, without memory: a reply token may be used again.

    Source: developers.line.biz, "Send reply message", "Send push message", "Retry failed API requests" (2026-11).
    """

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """An error has a status and a message."""
        checks = {
            "/v2/bot/message/reply": _reply,
            "/v2/bot/message/push": _push,
            "/v2/bot/chat/loading/start": _loading,
        }
        path = urlsplit(call.url).path
        check = next((check for end, check in checks.items() if path.endswith(end)), None)
        if call.method != "POST" or check is None:
            status, body = 404, _error("Not found")
        elif not bearer(call):
            status, body = 401, _error("Authentication failed. Confirm that the access token is valid.")
        else:
            status, body = check(call, number)
        headers = {"content-type": "application/json", "x-line-request-id": f"request-{number:06d}"}
        return status, headers, json.dumps(body).encode()

    def texts(self, call: Request) -> tuple[str, ...]:
        """The text of each message."""
        return tuple(str(message["text"]) for message in _messages(call) if message.get("text"))

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """By the reply token, or to the same chat."""
        ways = (("replyToken", "reply_token"), ("to", "to"))
        return any(name in reply_to and call.fields.get(field) == reply_to[name] for field, name in ways)

    def somebody(self) -> str:
        """A user id."""
        return f"U{secrets.token_hex(16)}"


def _reply(call: Request, number: int) -> tuple[int, dict[str, object]]:
    if "x-line-retry-key" in headers_of(call):
        return 400, _error("The retry key is not supported")
    if not call.fields.get("replyToken"):
        return 400, _error("Invalid reply token")
    return _sent(call, number)


def _push(call: Request, number: int) -> tuple[int, dict[str, object]]:
    headers = headers_of(call)
    if not call.fields.get("to"):
        return 400, _error("The property, 'to', in the request body is invalid")
    if "x-line-retry-key" in headers and not _is_uuid(headers["x-line-retry-key"]):
        return 400, _error("The retry key is invalid")
    return _sent(call, number)


def _sent(call: Request, number: int) -> tuple[int, dict[str, object]]:
    messages = _messages(call)
    if not 1 <= len(messages) <= MAX_MESSAGES:
        return 400, _error(f"The request body has 1 error(s): size must be between 1 and {MAX_MESSAGES}")
    for message in messages:
        text = message.get("text")
        if message.get("type") != "text" or not isinstance(text, str) or not 1 <= length(text) <= MAX_TEXT_CHARS:
            return 400, _error(f"The request body has 1 error(s): length must be between 0 and {MAX_TEXT_CHARS}")
    ids = [f"{4 * 10**17 + 10 * number + position}" for position in range(len(messages))]
    return 200, {"sentMessages": [{"id": one, "quoteToken": f"quote-{one}"} for one in ids]}


def _loading(call: Request, number: int) -> tuple[int, dict[str, object]]:
    del number
    seconds = call.fields.get("loadingSeconds", 20)
    if not str(call.fields.get("chatId", "")).startswith("U"):
        return 400, _error("The property, 'chatId', in the request body is invalid")
    if not isinstance(seconds, int) or seconds not in range(5, 61, 5):
        return 400, _error("The property, 'loadingSeconds', in the request body is invalid")
    return 202, {}


def _messages(call: Request) -> list[Mapping[str, object]]:
    messages = call.fields.get("messages")
    return [one for one in messages if isinstance(one, Mapping)] if isinstance(messages, list) else []


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _error(message: str) -> dict[str, object]:
    return {"message": message}
