"""Twilio's side: what its message resource checks and answers."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from channels.base import Request
from channels.graphemes import length
from channels.stand_in import PlatformAnswer, headers_of
from channels.twilio.rendering import MAX_TEXT_CHARS, is_whatsapp
from channels.twilio.segments import segments

_PATH = re.compile(r"/2010-04-01/Accounts/(AC[0-9a-fA-F]{32})/Messages\.json$")
_ADDRESS = re.compile(r"(whatsapp:)?\+[1-9][0-9]{6,14}")


class TwilioStandIn:
    """Source: twilio.com/docs/messaging/api/message-resource, "Create a Message" (2026-11)."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """An error has a code and a status."""
        path = _PATH.search(urlsplit(call.url).path)
        if call.method != "POST" or path is None:
            status, body = 404, _error(20404, 404, "The requested resource was not found")
        elif not _is_signed_in(call, path[1]):
            status, body = 401, _error(20003, 401, "Authenticate")
        else:
            status, body = _answer(call, path[1], number)
        return status, {"content-type": "application/json"}, json.dumps(body).encode()

    def texts(self, call: Request) -> tuple[str, ...]:
        """The body."""
        text = call.fields.get("Body")
        return (text,) if isinstance(text, str) and text else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """To the same person."""
        return "to" in reply_to and call.fields.get("To") == reply_to["to"]

    def somebody(self) -> str:
        """A number from the range that is kept for fiction."""
        return f"+1555010{secrets.randbelow(10_000):04d}"


def _answer(call: Request, account_sid: str, number: int) -> tuple[int, dict[str, object]]:
    text, to, sender = (str((call.form or {}).get(name, "")) for name in ("Body", "To", "From"))
    if not to:
        return 400, _error(21604, 400, "A 'To' phone number is required.")
    if not sender:
        return 400, _error(21603, 400, "A 'From' phone number is required.")
    if not text.strip():
        return 400, _error(21602, 400, "Message body is required.")
    if length(text) > MAX_TEXT_CHARS:
        return 400, _error(21617, 400, f"The concatenated message body exceeds the {MAX_TEXT_CHARS} character limit.")
    if not _ADDRESS.fullmatch(to):
        return 400, _error(21211, 400, f"Invalid 'To' Phone Number: {to}")
    if not _ADDRESS.fullmatch(sender):
        return 400, _error(21212, 400, f"Invalid From Number (caller ID): {sender}")
    if is_whatsapp(to) != is_whatsapp(sender):
        return 400, _error(21910, 400, "Invalid From and To pair. From and To should be of the same channel")
    return 201, {
        "sid": f"SM{number:032x}",
        "account_sid": account_sid,
        "status": "queued",
        "direction": "outbound-api",
        "body": text,
        "from": sender,
        "to": to,
        "num_segments": "1" if is_whatsapp(to) else str(segments(text).count),
        "error_code": None,
        "error_message": None,
    }


def _is_signed_in(call: Request, account_sid: str) -> bool:
    kind, _, given = headers_of(call).get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return False
    return kind == "Basic" and user == account_sid and bool(password)


def _error(code: int, status: int, message: str) -> dict[str, object]:
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
