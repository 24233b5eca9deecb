"""One Meta app with a Facebook page.

Source: developers.facebook.com/docs/messenger-platform/reference/send-api (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.base import Capabilities, Rate
from channels.meta.messaging import MAX_METADATA_CHARS
from channels.meta.send_api import (
    ACK_DEADLINE_S,
    TYPING_LASTS_S,
    WINDOW_S,
    SendApiChannel,
    send_codes,
)
from channels.rendering import plain

MAX_TEXT_CHARS = 2000
"""Source: Send API reference, message.text."""

MARKUP = plain(MAX_TEXT_CHARS)


class MessengerChannel(SendApiChannel):
    """Messages carry the outbox id, which comes back in the echo of each."""

    name = "messenger"
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        ack_deadline_s=ACK_DEADLINE_S,
        idempotency="look-up",
        typing_lasts_s=TYPING_LASTS_S,
        buttons=3,
        window_s=WINDOW_S,
        # Beyond it the page's inbox stops. Source: Messenger Platform, "Rate limits", high-volume messaging.
        rates=(Rate(40.0, burst=40),),
    )
    product = "page"
    markup = MARKUP
    codes = send_codes("Messenger")

    def _content(self, text: str, mark: str) -> Mapping[str, object]:
        return {"messaging_type": "RESPONSE", "message": {"text": text, "metadata": mark[:MAX_METADATA_CHARS]}}
