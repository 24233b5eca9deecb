"""Discord's Markdown: neutral Markdown to it, with everything that was written as text escaped."""

from __future__ import annotations

import re

from channels.rendering import Markup, honest_label, plain_link, unescaped

MAX_TEXT_CHARS = 2000
"""Source: discord.com/developers/docs/resources/webhook#execute-webhook, content: up to 2000 characters."""

_ADDRESS = r"https?://[^\s<>()\[\]`*|\\]+"
"""A web address in a text: Discord reads no markup in it, and an escape would break it."""

_MARKUP = re.compile(
    rf"""(?P<address>{_ADDRESS})
    | [\\`*_~|<>\#]           # styles, spoilers, mentions, quotes and headings
    | (?<![^\]]) \(           # the second half of a link; also first, since what stands before may be in another style
    | (?<![^\n]) [-+]         # a list; numbered ones look the same as text
    """,
    re.VERBOSE,
)

_BRACKET = re.compile(r"[\[\]]")
_NOT_IN_TARGET = re.compile(r"[<>()\\\s]")


def escape(text: str) -> str:
    """Text that Discord shows as it is.

    `@everyone` needs no escape, as nothing that we send may call anyone: see `allowed_mentions` in `channel`.
    """
    return _MARKUP.sub(lambda found: found[0] if found["address"] else f"\\{found[0]}", text)


def link(label: str, url: str) -> str:
    """A link with its label; the bare address where the label is an address itself, which Discord shows as text.

    Discord links no mailto. The angle brackets keep it from showing a preview of the page.
    """
    shown = " ".join(label.split())
    if url.startswith("mailto:"):
        return escape(plain_link(label, url))
    target = _NOT_IN_TARGET.sub(lambda found: f"%{ord(found[0]):02X}", url)
    if not shown or "://" in shown or not honest_label(shown, url):
        return f"<{target}>"
    name = _BRACKET.sub(r"\\\g<0>", escape(shown))
    return f"[{name}](<{target}>)"


MARKUP = Markup(
    limit=MAX_TEXT_CHARS,
    bold="**",
    italic="_",
    strike="~~",
    code="`",
    # Between code marks a backslash would show.
    escape=escape,
    link=link,
    escape_code=unescaped,
)
