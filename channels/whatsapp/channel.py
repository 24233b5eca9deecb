"""One Meta app with WhatsApp: handshake, signature, messages, replies.

Source: developers.facebook.com/docs/graph-api/webhooks/getting-started and .../whatsapp/cloud-api/messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from channels.answers import answer_object
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Request
from channels.credentials import require_api_url, require_secret
from channels.errors import SignatureInvalid
from channels.platform import NO_SETTINGS
from channels.rendering import render
from channels.signatures import same_secret, sign_hex
from channels.whatsapp.outcomes import failure
from channels.whatsapp.payloads import OBJECT, parse_body
from channels.whatsapp.rendering import MARKUP, MAX_TEXT_CHARS

MAX_CALLBACK_CHARS = 512
"""Source: Cloud API reference, biz_opaque_callback_data."""


class WhatsAppChannel:
    """Holds the app's secrets and address; no connection, no state."""

    name = "whatsapp"
    # Our own choice: Meta names no deadline for WhatsApp.
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        ack_deadline_s=5.0,
        idempotency="look-up",
        typing_lasts_s=25.0,
        buttons=3,
        window_s=24 * 3600.0,
    )

    def __init__(
        self,
        *,
        secrets: Mapping[str, str],
        api_url: str,
        clock: Callable[[], float],
        app: str = "main",
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        """Check what the app needs.

        Args:
            app: Its name here.
            settings: None are needed.
            secrets: `app_secret`, `verify_token` and `access_token`.
            api_url: Such as https://graph.facebook.com/v23.0.
            clock: Seconds since the epoch; read for Retry-After and the simulator only.

        Raises:
            ChannelMisconfigured: A secret is blank or the address of no use.
        """
        self._app_secret = require_secret(secrets, "app_secret")
        self._verify_token = require_secret(secrets, "verify_token")
        self._access_token = require_secret(secrets, "access_token")
        self._api_url = require_api_url(api_url)
        del app, settings
        self._clock = clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """The challenge as plain text: as HTML it would be an address that reflects what it is given."""
        known = same_secret(self._verify_token, query.get("hub.verify_token", ""))
        if not known or query.get("hub.mode") != "subscribe" or "hub.challenge" not in query:
            raise SignatureInvalid(
                "The verify token is not ours. Enter the same token in the Meta app as in this app's verify_token."
            )
        return Answer(query["hub.challenge"].encode(errors="replace"))

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        r"""HMAC-SHA256 over the bytes as they came; the older SHA-1 header is never looked at.

        Meta signs its own spelling (`\u00e9` for é), so a body that was parsed and written again would not match.
        The signature holds no time: a replay is found by the inbox, whose message ids are unique.
        """
        if not same_secret(self._signature(body), headers.get("x-hub-signature-256", "")):
            raise SignatureInvalid(
                "The signature is missing or not made with this app's secret. "
                "If the request is Meta's, compare app_secret with the app's Basic settings."
            )

    def parse(self, body: bytes) -> Inbound:
        """Every message of a batch; see `channels.whatsapp.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One text message a part; the first quotes the message that it answers.

        The outbox id comes back in the statuses of each part, as `<id>` or `<id>:<part>`.
        """
        texts = render(reply.text, reply.sources, MARKUP)
        url = f"{self._api_url}/{quote(reply.account, safe='')}/messages"
        headers = {"authorization": f"Bearer {self._access_token}", "content-type": "application/json"}
        address = {key: reply.reply_to[key] for key in ("to", "recipient") if key in reply.reply_to}
        quoted = reply.reply_to.get("message_id")
        requests = []
        for part, text in enumerate(texts, start=1):
            mark = reply.idempotency_key if part == 1 else f"{reply.idempotency_key}:{part}"
            message: dict[str, object] = {
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                **address,
                **({"context": {"message_id": quoted}} if quoted and part == 1 else {}),
                "type": "text",
                "text": {"body": text, "preview_url": False},
                "biz_opaque_callback_data": mark[:MAX_CALLBACK_CHARS],
            }
            requests.append(Request("POST", url, headers, message))
        return requests

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Two blue marks, and the dots for up to 25 s or until the reply. Source: Cloud API, "Typing indicators"."""
        if "message_id" not in reply_to:
            return ()
        url = f"{self._api_url}/{quote(account, safe='')}/messages"
        headers = {"authorization": f"Bearer {self._access_token}", "content-type": "application/json"}
        read: dict[str, object] = {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": reply_to["message_id"],
            "typing_indicator": {"type": "text"},
        }
        return (Request("POST", url, headers, read),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The wamid of the accepted message; delivery itself is told later by a status webhook."""
        answer = answer_object(body)
        if status == 200 and answer is not None and "error" not in answer:
            messages = answer.get("messages")
            first = messages[0] if isinstance(messages, list) and messages else None
            return str(first.get("id", "")) if isinstance(first, dict) else ""
        raise failure(status, headers, body, now_s=self._clock())

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The header that Meta sends."""
        return {"content-type": "application/json", "x-hub-signature-256": self._signature(body)}

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A text message of one person, in Meta's spelling: non-ASCII and slashes escaped.

        Args:
            text: What the person writes.
            account: The phone_number_id that receives it.
            message_id: Stands in the body as it is.
            sender: A phone number in digits; the business-scoped user id is derived from it.
        """
        user = int.from_bytes(hashlib.sha256(sender.encode()).digest()[:8], "big")
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550199999", "phone_number_id": account},
            "contacts": [{"profile": {"name": "Simulated"}, "wa_id": sender, "user_id": f"US.{user}"}],
            "messages": [
                {
                    "from": sender,
                    "id": message_id,
                    "timestamp": str(int(self._clock())),
                    "text": {"body": text},
                    "type": "text",
                }
            ],
        }
        entry = {"id": "100000000000001", "changes": [{"value": value, "field": "messages"}]}
        return json.dumps({"object": OBJECT, "entry": [entry]}).replace("/", "\\/").encode()

    def _signature(self, body: bytes) -> str:
        return f"sha256={sign_hex(self._app_secret, body)}"
