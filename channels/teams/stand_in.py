"""Microsoft's side: what the sign-in and the Connector's REST interface check and answer."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from channels.base import Request
from channels.stand_in import PlatformAnswer, bearer, headers_of
from channels.teams.rendering import MAX_ACTIVITY_BYTES

_ACTIVITIES = re.compile(r"/v3/conversations/[^/]+/activities(/[^/]+)?$")


def made_up_key() -> str:
    """An RSA key of 2048 bits: PKCS #8 in PEM, as one line of base64."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return base64.b64encode(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())).decode()


class TeamsStandIn:
    """Microsoft's sign-in and the Connector of Teams.

    Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference, "Reply to
    Activity" and "Error object", and learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
    "Successful response" (2026-11).
    """

    made_up: ClassVar[Mapping[str, Callable[[], str]]] = {"private_key": made_up_key}

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """A token for the app's password, or the id of a posted activity."""
        path = urlsplit(call.url).path
        if call.method == "POST" and path.endswith("/oauth2/v2.0/token"):
            status, body = _sign_in(call)
        elif call.method == "POST" and _ACTIVITIES.search(path):
            status, body = self._post(call, number)
        else:
            status, body = 404, _error("NotFound")
        return status, {"content-type": "application/json"}, json.dumps(body).encode()

    def texts(self, call: Request) -> tuple[str, ...]:
        """The text of a message; none of a sign that an answer is being written."""
        text = call.fields.get("text")
        return (text,) if call.fields.get("type") == "message" and isinstance(text, str) and text else ()

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """In answer to the same activity of the same conversation."""
        conversation = call.fields.get("conversation")
        place = conversation.get("id") if isinstance(conversation, Mapping) else None
        asked = (reply_to.get("conversation"), reply_to.get("activity"))
        return None not in asked and (place, call.fields.get("replyToId")) == asked

    def somebody(self) -> str:
        """A person's id; Teams has another one for each bot."""
        return f"29:1{secrets.token_urlsafe(32)}"

    def _post(self, call: Request, number: int) -> tuple[int, dict[str, object]]:
        kind = call.fields.get("type")
        if not bearer(call):
            return 401, _error("Unauthorized")
        if not all(isinstance(call.fields.get(name), Mapping) for name in ("from", "conversation")):
            return 400, _error("BadArgument")
        if kind not in ("message", "typing") or (kind == "message" and not "".join(self.texts(call)).strip()):
            return 400, _error("BadSyntax")
        if len(json.dumps(dict(call.fields), ensure_ascii=False).encode("utf-16-le")) > MAX_ACTIVITY_BYTES:
            return 413, _error("MessageSizeTooBig")
        return 201, {"id": str(1_700_000_000_000 + number)}


def _sign_in(call: Request) -> tuple[int, dict[str, object]]:
    if call.fields.get("grant_type") != "client_credentials" or not call.fields.get("scope"):
        return 400, {"error": "invalid_request"}
    if not headers_of(call).get("authorization", "").startswith("Basic "):
        return 401, {"error": "invalid_client"}
    return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": secrets.token_urlsafe(32)}


def _error(code: str) -> dict[str, object]:
    return {"error": {"code": code, "message": "Refused by the stand-in."}}
