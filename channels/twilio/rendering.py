"""Texts for Twilio: WhatsApp's marks for its addresses, and for SMS none, in the cheaper encoding where it will do."""

from __future__ import annotations

from collections.abc import Sequence

from channels.base import Source
from channels.rendering import Markup, plain, plain_link, render, unescaped
from channels.twilio.segments import is_gsm7

MAX_TEXT_CHARS = 1600
"""Source: twilio.com/docs/messaging/api/message-resource, Body; error 21617 above it."""

WHATSAPP_PREFIX = "whatsapp:"

WHATSAPP = Markup(limit=MAX_TEXT_CHARS, bold="*", italic="_", strike="~", code="`", escape=unescaped, link=plain_link)
SMS = plain(MAX_TEXT_CHARS)

_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2022\u00a0", "''\"\"--- ")
"""Quotes, dashes, the bullet of a list and the blank that does not break: each for one character of GSM-7."""


def is_whatsapp(address: str) -> bool:
    """Whether an address of Twilio's is one of WhatsApp; any other is a telephone number."""
    return address.startswith(WHATSAPP_PREFIX)


def write(text: str, sources: Sequence[Source], *, account: str) -> tuple[str, ...]:
    """The messages that carry a text, as its way out writes them.

    Args:
        text: Neutral Markdown.
        sources: Listed at the end.
        account: Our address, which says the way.
    """
    if is_whatsapp(account):
        return render(text, sources, WHATSAPP)
    return tuple(_cheaper(part) for part in render(text, sources, SMS))


def _cheaper(text: str) -> str:
    """The text without typographic characters where only they keep it out of GSM-7, in which a segment holds double."""
    plainer = text.translate(_TYPOGRAPHY)
    return plainer if is_gsm7(plainer) else text
