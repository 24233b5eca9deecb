"""Neutral Markdown, as replies are written, to styled runs that know nothing of a platform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

LINK_SCHEMES = frozenset({"http", "https", "mailto"})
"""Anything else (javascript:, data:, a relative path) is shown as its label only."""

_SEPARATE_RULES = ["reference", "lheading", "code", "html_block", "html_inline"]
"""Switched off: a line `[1]: ...` would vanish as a definition, and indented or `---` lines would change meaning."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text in one style."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    link: str = ""
    """Absolute address; the text is its label."""
    raw: bool = False
    """Markup of ours (a bullet, a quote mark): never escaped, never cut."""


BLANK_LINE = Run("\n\n")
LINE_BREAK = Run("\n")


def parse_markdown(text: str) -> list[Run]:
    """The text as runs in reading order; empty for blank text.

    Images are shown as their description, never as an address: nothing is fetched when a reply is displayed.
    """
    parser = MarkdownIt("commonmark", {"html": False}).disable(_SEPARATE_RULES).enable("strikethrough")
    return list(_Flattener().flatten(parser.parse(text)))


class _Flattener:
    """Walks the block tokens once; holds where we are in lists and quotes."""

    def __init__(self) -> None:
        self._lists = 0
        self._quotes = 0
        self._started = False
        self._item_mark = ""
        self._in_same_list = False

    def flatten(self, tokens: Sequence[Token]) -> Iterator[Run]:
        heading = False
        for token in tokens:
            match token.type:
                case "bullet_list_open" | "ordered_list_open":
                    self._lists += 1
                case "bullet_list_close" | "ordered_list_close":
                    self._lists -= 1
                    self._in_same_list = self._lists > 0
                case "list_item_open":
                    mark = f"{token.info}{token.markup} " if token.info else "• "
                    self._item_mark = "  " * (self._lists - 1) + mark
                case "blockquote_open":
                    self._quotes += 1
                case "blockquote_close":
                    self._quotes -= 1
                case "heading_open" | "heading_close":
                    heading = token.type == "heading_open"
                case "inline":
                    yield from self._block(_inline(token.children or [], bold=heading))
                case "fence":
                    yield from self._block(_code_lines(token.content))

    def _block(self, runs: Iterator[Run]) -> Iterator[Run]:
        if self._started:
            yield LINE_BREAK if self._in_same_list and self._lists else BLANK_LINE
        self._started = True
        self._in_same_list = self._lists > 0
        yield from self._line_start()
        for run in runs:
            yield run
            if run is LINE_BREAK and self._quotes:
                yield Run("> ", raw=True)

    def _line_start(self) -> Iterator[Run]:
        if self._quotes:
            yield Run("> ", raw=True)
        if self._item_mark:
            yield Run(self._item_mark, raw=True)
            self._item_mark = ""


def _code_lines(content: str) -> Iterator[Run]:
    for number, line in enumerate(content.rstrip("\n").split("\n")):
        if number:
            yield LINE_BREAK
        if line:
            yield Run(line, code=True)


def _inline(tokens: Sequence[Token], *, bold: bool) -> Iterator[Run]:
    style = Run("", bold=bold)
    for token in tokens:
        match token.type:
            case "strong_open" | "strong_close":
                style = replace(style, bold=bold or token.type == "strong_open")
            case "em_open" | "em_close":
                style = replace(style, italic=token.type == "em_open")
            case "s_open" | "s_close":
                style = replace(style, strike=token.type == "s_open")
            case "link_open":
                style = replace(style, link=_allowed(str(token.attrs.get("href", ""))))
            case "link_close":
                style = replace(style, link="")
            case "softbreak" | "hardbreak":
                yield LINE_BREAK
            case "code_inline":
                yield replace(style, text=token.content, code=True)
            case _:
                yield replace(style, text=token.content)


def _allowed(url: str) -> str:
    """The address where it is absolute and harmless, else nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    complete = parts.path if parts.scheme == "mailto" else parts.netloc
    return url if parts.scheme in LINK_SCHEMES and complete else ""
