"""Meta's side: what its messages endpoints check and answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from channels.base import Request
from channels.meta.messaging import MAX_METADATA_CHARS
from channels.rendering import Markup
from channels.stand_in import PlatformAnswer, bearer

SENDER_ACTIONS = frozenset({"mark_seen", "typing_on", "typing_off"})
MESSAGE_TAGS = frozenset({"HUMAN_AGENT"})
MESSAGING_TYPES = frozenset({"RESPONSE", "UPDATE", "MESSAGE_TAG"})


def graph_error(code: int, message: str) -> dict[str, object]:
    """The Graph API's way of saying no."""
    return {"error": {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, "fbtrace_id": "A"}}


def graph_answer(call: Request, answer: Callable[[], tuple[int, dict[str, object]]]) -> PlatformAnswer:
    """What a call to `/<id>/messages` gets: an error for one that goes elsewhere or carries no token."""
    if call.method != "POST" or not urlsplit(call.url).path.endswith("/messages"):
        status, body = 404, graph_error(2500, "Unknown path")
    elif not bearer(call):
        status, body = 401, graph_error(190, "Invalid OAuth access token")
    else:
        status, body = answer()
    return status, {"content-type": "application/json"}, json.dumps(body).encode()


@dataclass(frozen=True)
class SendApiStandIn:
    """The Send API of Messenger or of Instagram.

    Source: developers.facebook.com/docs/messenger-platform/reference/send-api (2026-11).
    """

    markup: Markup
    """Its limit, and how the platform measures it."""
    typed: bool
    """Whether a message must say its `messaging_type`."""
    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """An error has a code and a status."""
        return graph_answer(call, lambda: self._answer(call, number))

    def texts(self, call: Request) -> tuple[str, ...]:
        """The text of a message; none of a sender action."""
        text = _inside(call, "message").get("text")
        return (text,) if isinstance(text, str) and text else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """To the same person."""
        return "recipient" in reply_to and _inside(call, "recipient").get("id") == reply_to["recipient"]

    def somebody(self) -> str:
        """An id of 16 digits, as people have for one page or account."""
        return str(10**15 + secrets.randbelow(9 * 10**15))

    def _answer(self, call: Request, number: int) -> tuple[int, dict[str, object]]:
        recipient = _inside(call, "recipient").get("id")
        if not isinstance(recipient, str) or not recipient:
            return 400, graph_error(100, "Param recipient must be non-empty.")
        if "sender_action" in call.fields:
            return self._signal(call, recipient)
        if (wrong := self._wrong(call)) is not None:
            return 400, graph_error(100, wrong)
        return 200, {"recipient_id": recipient, "message_id": f"mid.STANDIN{number:06d}"}

    def _signal(self, call: Request, recipient: str) -> tuple[int, dict[str, object]]:
        if "message" in call.fields:
            return 400, graph_error(100, "Cannot send both message and state at the same time.")
        if call.fields["sender_action"] not in SENDER_ACTIONS:
            return 400, graph_error(100, f"Param sender_action must be one of {', '.join(sorted(SENDER_ACTIONS))}")
        return 200, {"recipient_id": recipient}

    def _wrong(self, call: Request) -> str | None:
        text = "".join(self.texts(call))
        if not text.strip():
            return "Message cannot be empty, must provide valid attachment or text"
        if self.markup.measure(text) > self.markup.limit:
            return f"Length of param message[text] must be less than or equal to {self.markup.limit}"
        if self.typed and call.fields.get("messaging_type") not in MESSAGING_TYPES:
            return f"Param messaging_type must be one of {', '.join(sorted(MESSAGING_TYPES))}"
        if (call.fields.get("messaging_type") == "MESSAGE_TAG") != (call.fields.get("tag") in MESSAGE_TAGS):
            return f"Param tag must be one of {', '.join(sorted(MESSAGE_TAGS))}, with messaging_type MESSAGE_TAG"
        metadata = _inside(call, "message").get("metadata", "")
        if not isinstance(metadata, str) or len(metadata) > MAX_METADATA_CHARS:
            return f"Length of param message[metadata] must be less than or equal to {MAX_METADATA_CHARS}"
        return None


def _inside(call: Request, name: str) -> Mapping[str, object]:
    part = call.fields.get(name)
    return part if isinstance(part, Mapping) else {}
