"""One Meta app with WhatsApp; handshake and signature are those of all Meta apps.

Source: developers.facebook.com/docs/whatsapp/cloud-api/messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from channels.base import Capabilities, Inbound, OutboundReply, Rate, Request, part_mark
from channels.meta.app import MetaApp, meta_json
from channels.meta.graph import accepted
from channels.rendering import render
from channels.whatsapp.outcomes import CODES, WINDOW_CLOSED
from channels.whatsapp.payloads import MAX_CALLBACK_CHARS, OBJECT, parse_body
from channels.whatsapp.rendering import MARKUP, MAX_TEXT_CHARS, in_template
from channels.windows import is_closed, too_late

WINDOW_S = 24 * 3600.0
"""After a person's last message; then only approved templates are taken (131047)."""


RATES = (Rate(80.0, burst=80), Rate(1 / 6, burst=45, per=("to", "recipient")))
"""Messages of a number, and to one person. Source: Cloud API, "Throughput" and "Pair rate limits"."""


class WhatsAppChannel(MetaApp):
    """What is WhatsApp's own: its messages, and how they are answered."""

    name = "whatsapp"
    # Our own choice: Meta names no deadline for WhatsApp.
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        ack_deadline_s=5.0,
        idempotency="look-up",
        typing_lasts_s=25.0,
        buttons=3,
        window_s=WINDOW_S,
        rates=RATES,
    )

    def parse(self, body: bytes) -> Inbound:
        """Every message of a batch; see `channels.whatsapp.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One text message a part; the first quotes the message that it answers.

        The outbox id comes back in the statuses of each part, as `<id>` or `<id>:<part>`. After 24 hours the reply goes
        out in the brand's template.

        Raises:
            DeliveryFailed: It is too late for free text, and there is no template, or the reply does not fit.
        """
        if is_closed(reply, WINDOW_S):
            return [self._by_template(reply)]
        address = {key: reply.reply_to[key] for key in ("to", "recipient") if key in reply.reply_to}
        quoted = reply.reply_to.get("message_id")
        requests = []
        for part, text in enumerate(render(reply.text, reply.sources, MARKUP), start=1):
            message: dict[str, object] = {
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                **address,
                **({"context": {"message_id": quoted}} if quoted and part == 1 else {}),
                "type": "text",
                "text": {"body": text, "preview_url": False},
                "biz_opaque_callback_data": part_mark(reply.idempotency_key, part)[:MAX_CALLBACK_CHARS],
            }
            requests.append(self._call(reply.account, message))
        return requests

    def _by_template(self, reply: OutboundReply) -> Request:
        """Source: Cloud API, "Sending messages, template messages"."""
        if reply.template is None:
            cure = "Name an approved template in the brand's binding (templates.late_reply), or wait until they write."
            raise too_late("WhatsApp", reply, cure, code=str(WINDOW_CLOSED))
        values = in_template(reply.template.parameters, reply)
        body = {"type": "body", "parameters": [{"type": "text", "text": value} for value in values]}
        template = {
            "name": reply.template.name,
            "language": {"code": reply.template.language},
            "components": [body] if values else [],
        }
        message: dict[str, object] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            **{key: reply.reply_to[key] for key in ("to", "recipient") if key in reply.reply_to},
            "type": "template",
            "template": template,
            "biz_opaque_callback_data": part_mark(reply.idempotency_key, 1)[:MAX_CALLBACK_CHARS],
        }
        return self._call(reply.account, message)

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Two blue marks, and the dots for up to 25 s or until the reply. Source: Cloud API, "Typing indicators"."""
        if "message_id" not in reply_to:
            return ()
        read: dict[str, object] = {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": reply_to["message_id"],
            "typing_indicator": {"type": "text"},
        }
        return (self._call(account, read),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The wamid of the accepted message; delivery itself is told later by a status webhook."""
        messages = accepted(status, headers, body, CODES, now_s=self._clock()).get("messages")
        first = messages[0] if isinstance(messages, list) and messages else None
        return str(first.get("id", "")) if isinstance(first, dict) else ""

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
        return meta_json({"object": OBJECT, "entry": [entry]})
