"""WhatsApp's side: what the Cloud API's messages endpoint checks and answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import ClassVar

from channels.base import Request
from channels.meta.stand_in import graph_answer, graph_error
from channels.stand_in import PlatformAnswer
from channels.whatsapp.rendering import MAX_TEMPLATE_CHARS, MAX_TEXT_CHARS


class WhatsAppStandIn:
    """Source: developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages, "Response" (2026-11)."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """An error has a code and a status."""
        return graph_answer(call, lambda: self._answer(call, number))

    def texts(self, call: Request) -> tuple[str, ...]:
        """The body of a text message, the values of a template; none of a read receipt."""
        if (values := _values(call)) is not None:
            return (" ".join(values),)
        text = call.fields.get("text")
        body = text.get("body") if isinstance(text, Mapping) else None
        return (body,) if isinstance(body, str) and body else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """To the same person."""
        address = {key: reply_to[key] for key in ("to", "recipient") if key in reply_to}
        return bool(address) and all(call.fields.get(key) == value for key, value in address.items())

    def somebody(self) -> str:
        """A number from the range that is kept for fiction."""
        return f"1555010{secrets.randbelow(10_000):04d}"

    def _answer(self, call: Request, number: int) -> tuple[int, dict[str, object]]:
        text, to = "".join(self.texts(call)), call.fields.get("to") or call.fields.get("recipient")
        if call.fields.get("messaging_product") != "whatsapp":
            return 400, graph_error(131008, "Required parameter is missing")
        if call.fields.get("status") == "read":
            return 200, {"success": True}
        if not to:
            return 400, graph_error(131008, "Required parameter is missing")
        if (values := _values(call)) is not None:
            if any("\n" in value or "\t" in value or "    " in value for value in values):
                return 400, graph_error(
                    132018, "Param text cannot have new-line/tab characters or 4 consecutive spaces"
                )
            if len(text) > MAX_TEMPLATE_CHARS:
                return 400, graph_error(132005, "Translated text too long")
        if not text.strip() or len(text) > MAX_TEXT_CHARS:
            return 400, graph_error(100, f"Param text['body'] must be 1 to {MAX_TEXT_CHARS} characters long")
        contacts = [{"input": to, "wa_id": to}]
        message = {"id": f"wamid.STANDIN{number:06d}"}
        return 200, {"messaging_product": "whatsapp", "contacts": contacts, "messages": [message]}


def _values(call: Request) -> list[str] | None:
    """What fills a template's places, or its name where nothing does; None of any other message."""
    template = call.fields.get("template")
    if not isinstance(template, Mapping):
        return None
    components = template.get("components")
    found = [
        str(parameter["text"])
        for component in (components if isinstance(components, list) else [])
        for parameter in component["parameters"]
    ]
    return found or [str(template["name"])]
