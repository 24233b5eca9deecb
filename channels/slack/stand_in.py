"""Slack's side: what its Web API and the addresses of commands check and answer."""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from channels.base import Request
from channels.stand_in import PlatformAnswer, bearer, headers_of

HARD_LIMIT_CHARS = 40_000
"""Source: docs.slack.dev/reference/methods/chat.postMessage."""

KEPT_MESSAGES = 1_000
"""For look-ups."""

SECTION_LIMIT_CHARS = 3_000
"""Source: docs.slack.dev/reference/block-kit/blocks/section-block."""


class SlackStandIn:
    """Source: docs.slack.dev/reference/methods/chat.postMessage, "Common successful response" (2026-11)."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {}

    def __init__(self) -> None:
        self._posted: deque[tuple[object, object, dict[str, object]]] = deque(maxlen=KEPT_MESSAGES)

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """Slack says no with a 200."""
        path = urlsplit(call.url).path
        if call.method == "POST" and path.endswith("/assistant.threads.setStatus"):
            return 200, {"content-type": "application/json"}, b'{"ok":true}'
        if call.method == "POST" and path.endswith("/oauth.v2.access"):
            return 200, {"content-type": "application/json"}, json.dumps(self._access(call)).encode()
        if call.method == "POST" and path.endswith(("/conversations.history", "/conversations.replies")):
            return 200, {"content-type": "application/json"}, json.dumps(self._told(call)).encode()
        if call.method == "POST" and "/commands/" in path:
            return 200, {"content-type": "text/html"}, b"ok"
        if call.method == "POST" and path.endswith("/chat.delete"):
            return 200, {"content-type": "application/json"}, json.dumps(self._deleted(call)).encode()
        if call.method != "POST" or not path.endswith(("/chat.postMessage", "/chat.update")):
            return 404, {}, b""
        body = json.dumps(self._answer(call, number, update=path.endswith("update"))).encode()
        return 200, {"content-type": "application/json"}, body

    def texts(self, call: Request) -> tuple[str, ...]:
        """The text; none of a beginning, which is read again in the whole."""
        match call.fields:
            case {"metadata": {"event_payload": {"part": 0}}}:
                return ()
            case {"text": str(text)} if text:
                return (text,)
        return ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """In the same channel, and the same thread; or at a command's own address."""
        if address := reply_to.get("response_url"):
            return urlsplit(call.url).path == urlsplit(address).path
        # A change names its message, and no thread.
        keys = ("channel",) if call.fields.get("ts") else ("channel", "thread_ts")
        return all(call.fields.get(key) == reply_to.get(key) for key in keys)

    def somebody(self) -> str:
        """A user id."""
        return f"U0{secrets.token_hex(4).upper()}"

    def _answer(self, call: Request, number: int, *, update: bool) -> dict[str, object]:
        text, channel = str(call.fields.get("text") or ""), call.fields.get("channel")
        if not bearer(call):
            return {"ok": False, "error": "not_authed"}
        if not channel:
            return {"ok": False, "error": "channel_not_found"}
        if not text.strip():
            return {"ok": False, "error": "no_text"}
        if len(text) > HARD_LIMIT_CHARS:
            return {"ok": False, "error": "msg_too_long"}
        blocks = call.fields.get("blocks", [])
        if not isinstance(blocks, list) or not all(self._fits(block) for block in blocks):
            return {"ok": False, "error": "invalid_blocks"}
        ts = str(call.fields.get("ts") or f"1700000000.{number:06d}")
        message = {"type": "message", "text": text, "ts": ts}
        posted = message | {"metadata": call.fields.get("metadata")}
        if update:
            known = self._known(call)
            if known is None:
                return {"ok": False, "error": "message_not_found"}
            known[2].update(posted)
        else:
            self._posted.append((channel, call.fields.get("thread_ts"), posted))
        return {"ok": True, "channel": channel, "ts": ts, "message": message}

    def _known(self, call: Request) -> tuple[object, object, dict[str, object]] | None:
        place = call.fields.get("channel"), call.fields.get("ts")
        return next((one for one in self._posted if (one[0], one[2]["ts"]) == place), None)

    def _deleted(self, call: Request) -> dict[str, object]:
        known = self._known(call)
        if known is None:
            return {"ok": False, "error": "message_not_found"}
        self._posted.remove(known)
        return {"ok": True, "channel": call.fields.get("channel"), "ts": call.fields.get("ts")}

    def shown(self, channel: str) -> list[str]:
        """What stands in a channel now, in order."""
        return [str(one["text"]) for there, _, one in self._posted if there == channel]

    def _told(self, call: Request) -> dict[str, object]:
        """Our messages there; of those of people only the simulator knows."""
        form = call.form or {}
        if not bearer(call):
            return {"ok": False, "error": "not_authed"}
        place = form.get("channel"), form.get("ts")
        metadata = form.get("include_all_metadata") == "true"
        shown = [one for *there, one in self._posted if tuple(there) == place]
        messages = shown if metadata else [{**one, "metadata": None} for one in shown]
        return {"ok": True, "messages": messages, "has_more": False}

    def _fits(self, block: object) -> bool:
        text = block.get("text") if isinstance(block, dict) else {}
        shown = text.get("text") if isinstance(text, dict) else ""
        return not isinstance(shown, str) or len(shown) <= SECTION_LIMIT_CHARS

    def _access(self, call: Request) -> dict[str, object]:
        """A workspace of one name for each code, and a token that ends where it is renewed."""
        form = call.form or {}
        if not headers_of(call).get("authorization", "").startswith("Basic "):
            return {"ok": False, "error": "invalid_client_id"}
        if not form.get("code") and not form.get("refresh_token"):
            return {"ok": False, "error": "invalid_code"}
        renewed = form.get("grant_type") == "refresh_token"
        answer: dict[str, object] = {
            "ok": True,
            "access_token": f"xoxb-{secrets.token_hex(8)}",
            "token_type": "bot",
            "scope": "chat:write",
            "bot_user_id": "U0SIMULATED",
            "app_id": "A0SIMULATED",
            "team": {"id": f"T0{form.get('code', 'RENEWED')}".upper(), "name": "A workspace"},
            "enterprise": None,
            "is_enterprise_install": False,
        }
        if renewed:
            answer |= {"refresh_token": f"xoxe-{secrets.token_hex(8)}", "expires_in": 43_200}
        return answer
