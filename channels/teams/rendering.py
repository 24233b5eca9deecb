"""Teams' Markdown: neutral Markdown to it, with everything that was written as text escaped.

Source: learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages.
"""

from __future__ import annotations

import re

from channels.rendering import Markup, honest_label, unescaped

MAX_ACTIVITY_BYTES = 28 * 1024
"""Of a whole activity as UTF-16. Source: the page above, which has named 28, then 40, now 100 KB: the least holds."""

MAX_TEXT_CHARS = 12_000
"""Of one message, in UTF-16 units: 24,000 bytes, and the rest of the activity is ids.

4,000 units of text and markup; each line end grows from one unit to three at most. Even where a byte count of our
JSON, six bytes for a letter outside ASCII, should be what Microsoft measures, it stays below the limit.
"""

_ADDRESS = r"https?://(?:[^\s<>()\[\]`*|\\&~_]|(?<![~])~(?!~)|(?<=[^\W_])_(?=[^\W_]))+"
"""A web address in a text: Teams makes a link of it, which an escape would break.

It ends before two tildes, which strike, and before an underscore that is not within a word, which slants.
"""

_MARKUP = re.compile(
    rf"""(?P<address>{_ADDRESS})
    | (?P<html>[&<>])         # tags and entities, which Teams reads too; so nothing written can become an <at>
    | [\\`*_~|]               # styles and tables
    | (?<![^\]]) [(:]         # the second half of a link or of its definition; also first in a stretch of text
    | (?<![^\n]) [-+\#=]      # lists, headings, lines; numbered lists look the same as text
    """,
    re.VERBOSE,
)

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_NOT_IN_TARGET = re.compile(r"[<>()\\\s\"']")
_BRACKET = re.compile(r"[\[\]]")
_LINE_END = re.compile(r"(?<!\n)\n(?!\n)")


def escape(text: str) -> str:
    """Text that Teams shows as it is. A mention needs an entity of its own besides, and we never send one."""

    def escaped(found: re.Match[str]) -> str:
        if found["address"]:
            return found[0]
        return _ENTITIES[found[0]] if found["html"] else f"\\{found[0]}"

    return _MARKUP.sub(escaped, text)


def link(label: str, url: str) -> str:
    """A link with its label; the address as its own label where another one would pretend to be another address."""
    shown = " ".join(label.split())
    target = _NOT_IN_TARGET.sub(lambda found: f"%{ord(found[0]):02X}", url).replace("&", "&amp;")
    if not shown or not honest_label(shown, url):
        shown = url.removeprefix("mailto:")
    name = _BRACKET.sub(r"\\\g<0>", escape(shown))
    return f"[{name}]({target})"


def with_line_ends(text: str) -> str:
    """The text with its single line ends kept: alone, one is a blank in Markdown; two blanks before it hold it."""
    return _LINE_END.sub("  \n", text)


MARKUP = Markup(
    limit=MAX_TEXT_CHARS // 3,
    bold="**",
    italic="_",
    strike="~~",
    code="`",
    escape=escape,
    link=link,
    # Between code marks a backslash would show.
    escape_code=unescaped,
)
