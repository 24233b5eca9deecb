"""WhatsApp's text marks: *bold*, _italic_, ~struck~, `code`; there are no labelled links and no escapes."""

from __future__ import annotations

from channels.rendering import Markup

MAX_TEXT_CHARS = 4096
"""Source: Cloud API reference, messages, text.body."""


def link(label: str, url: str) -> str:
    """Label and address side by side: WhatsApp makes a link of the address itself."""
    shown = " ".join(label.split())
    address = url.removeprefix("mailto:")
    return address if not shown or shown in (url, address) else f"{shown} ({address})"


def unescaped(text: str) -> str:
    """The text itself: nothing that can be typed in WhatsApp calls or tags anyone."""
    return text


MARKUP = Markup(limit=MAX_TEXT_CHARS, bold="*", italic="_", strike="~", code="`", escape=unescaped, link=link)
