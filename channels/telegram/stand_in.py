"""Telegram's side: what sendMessage and sendChatAction check and answer."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from html import unescape
from typing import ClassVar
from urllib.parse import urlsplit

from channels.base import Request
from channels.graphemes import length
from channels.stand_in import PlatformAnswer
from channels.telegram.rendering import MAX_TEXT_CHARS

_METHOD = re.compile("/bot([^/]*)/([A-Za-z]+)$")
_TOKEN = re.compile("[0-9]+:[A-Za-z0-9_-]+")
_TAG = re.compile(r'</?(?:b|i|s|code|a)>|<a href="[^"<>]*">')
_NAMES = re.compile("<(/?)([a-z]+)")
_ENTITY = re.compile("&(?:lt|gt|amp|quot);")


class TelegramStandIn:
    """Source: core.telegram.org/bots/api#sendmessage, #html-style and #making-requests."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {
        "bot_token": lambda: f"{10**9 + secrets.randbelow(9 * 10**9)}:{secrets.token_urlsafe(26)}"
    }

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """An error has a code, which is the status, and a description."""
        code, description, result = self._answer(call, number)
        if description:
            body: dict[str, object] = {"ok": False, "error_code": code, "description": description}
        else:
            body = {"ok": True, "result": result}
        return code, {"content-type": "application/json"}, json.dumps(body).encode()

    def texts(self, call: Request) -> tuple[str, ...]:
        """The text of a message."""
        text = call.fields.get("text")
        return (text,) if isinstance(text, str) and text else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """In the same chat, and the same topic."""
        return all(_shown(call.fields.get(key)) == reply_to.get(key) for key in ("chat_id", "message_thread_id"))

    def somebody(self) -> str:
        """A person's id."""
        return str(10**9 + secrets.randbelow(9 * 10**9))

    def _answer(self, call: Request, number: int) -> tuple[int, str, object]:
        path = _METHOD.search(urlsplit(call.url).path)
        if call.method != "POST" or path is None or path[2] not in {"sendMessage", "sendChatAction"}:
            return 404, "Not Found", None
        if not _TOKEN.fullmatch(path[1]):
            return 401, "Unauthorized", None
        chat = call.fields.get("chat_id")
        if not _is_number(chat):
            return 400, "Bad Request: chat_id is empty", None
        if path[2] == "sendChatAction":
            known = call.fields.get("action") == "typing"
            return (200, "", True) if known else (400, "Bad Request: wrong parameter action in request", None)
        refusal = _refusal(call.fields)
        if refusal:
            return 400, f"Bad Request: {refusal}", None
        text = "".join(self.texts(call))
        sent = {"message_id": number, "date": 1_700_000_000, "chat": {"id": chat, "type": "private"}}
        return 200, "", {**sent, "text": _visible(text)}


def _refusal(fields: Mapping[str, object]) -> str:
    text, mode, quoted = fields.get("text"), fields.get("parse_mode"), fields.get("reply_parameters")
    if mode != "HTML":
        return "unsupported parse_mode"
    if quoted is not None and not (isinstance(quoted, Mapping) and _is_number(quoted.get("message_id"))):
        return "message to be replied not found"
    if not isinstance(text, str) or not text.strip():
        return "message text is empty"
    if not _well_formed(text):
        return "can't parse entities"
    visible = _visible(text)
    if not visible.strip():
        return "message text is empty"
    return "message is too long" if length(visible) > MAX_TEXT_CHARS else ""


def _well_formed(text: str) -> bool:
    """Whether each `<` begins one of the tags, each `&` an entity, and tags are closed in their order."""
    bare = _TAG.sub("", text)
    if "<" in bare or "&" in _ENTITY.sub("", bare):
        return False
    is_open: list[str] = []
    for tag in _TAG.findall(text):
        closing, name = _NAMES.findall(tag)[0]
        if not closing:
            is_open.append(name)
        elif not is_open or is_open.pop() != name:
            return False
    return not is_open


def _visible(text: str) -> str:
    return unescape(_TAG.sub("", text))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str | None:
    return None if value is None else str(value)
