"""LINE's texts: no marks and no escapes; an address becomes a link by itself."""

from __future__ import annotations

from channels.rendering import plain

MAX_TEXT_CHARS = 5000
"""Source: developers.line.biz, Messaging API reference, "Text message"; in UTF-16 units by "Character counting"."""

MAX_MESSAGES = 5
"""Of one call. Source: Messaging API reference, "Send reply message" and "Send push message"."""

MARKUP = plain(MAX_TEXT_CHARS)
