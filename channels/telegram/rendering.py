"""Telegram's HTML: five tags and three escapes; never MarkdownV2, in which a forgotten escape refuses the message."""

from __future__ import annotations

import re
from html import escape as escape_attribute

from channels.rendering import Markup, honest_label, plain_link

MAX_TEXT_CHARS = 4096
"""Source: core.telegram.org/bots/api#sendmessage, text: 1-4096 characters after entities parsing.

Telegram counts UTF-16 units, and without the markup. Here the markup counts too, so what fits here fits there.
"""

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""Source: core.telegram.org/bots/api#html-style: these three and no others outside of tags."""

_ESCAPE = re.compile("[&<>]")

_CALLS = re.compile(r"(?<![A-Za-z0-9_])@|(?<![A-Za-z0-9_/<>])/(?!/)")
"""Where Telegram would begin a mention or a command: not inside a mail address, a web address or `and/or`."""

JOINER = "\u2060"
"""Word joiner, which nobody sees. Telegram makes a mention of any `@name` in a text, whatever markup comes along."""

_TAG = re.compile("<([a-z]+)>")


def escape(text: str) -> str:
    """Text that Telegram shows as it is: it can become neither markup nor a mention nor a command to tap on."""
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], _CALLS.sub(lambda found: found[0] + JOINER, text))


def link(label: str, url: str) -> str:
    """A link with its label; the address is its own label where another one would pretend to be another address.

    Telegram takes no mailto in a link, but makes one of a mail address by itself.
    """
    shown = " ".join(label.split())
    if url.startswith("mailto:"):
        return escape(plain_link(label, url))
    told = shown if shown and honest_label(shown, url) else url
    return f'<a href="{escape_attribute(url)}">{escape(told)}</a>'


def close(tags: str) -> str:
    """The closing tags of these opening ones, the innermost first."""
    return "".join(f"</{name}>" for name in reversed(_TAG.findall(tags)))


MARKUP = Markup(
    limit=MAX_TEXT_CHARS, bold="<b>", italic="<i>", strike="<s>", code="<code>", escape=escape, link=link, close=close
)
