"""WhatsApp's text marks: *bold*, _italic_, ~struck~, `code`; there are no labelled links and no escapes."""

from __future__ import annotations

from channels.rendering import Markup, plain_link, unescaped

MAX_TEXT_CHARS = 4096
"""Source: Cloud API reference, messages, text.body."""

MARKUP = Markup(limit=MAX_TEXT_CHARS, bold="*", italic="_", strike="~", code="`", escape=unescaped, link=plain_link)
