"""One Meta app with an Instagram professional account, by Instagram Login: no Facebook page is needed.

Source: developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api and
developers.facebook.com/docs/messenger-platform/instagram/features/send-message (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.base import Capabilities, Rate
from channels.meta.send_api import ACK_DEADLINE_S, TYPING_LASTS_S, WINDOW_S, SendApiChannel, send_codes
from channels.rendering import plain

MAX_TEXT_BYTES = 1000
"""Source: the second page above, "Send a basic message"."""


def utf8_bytes(text: str) -> int:
    """Length in bytes of UTF-8."""
    return len(text.encode(errors="replace"))


MARKUP = plain(MAX_TEXT_BYTES, measure=utf8_bytes)


class InstagramChannel(SendApiChannel):
    """Instagram gives nothing back by which a sent message could be told from another."""

    name = "instagram"
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_BYTES,
        ack_deadline_s=ACK_DEADLINE_S,
        typing_lasts_s=TYPING_LASTS_S,
        buttons=3,
        window_s=WINDOW_S,
        # Source: Messenger Platform, "Rate limits", Instagram, Send API with text.
        rates=(Rate(300.0, burst=300),),
    )
    product = "instagram"
    # Meta's documentation does not tell the two secrets apart; several projects found this one with live deliveries.
    settings_page = "the Instagram app secret under Instagram, API setup; it is not that of the Basic settings"
    markup = MARKUP
    codes = send_codes("Instagram")

    def _content(self, text: str, mark: str) -> Mapping[str, object]:
        del mark
        return {"message": {"text": text}}
