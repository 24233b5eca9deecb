"""A tree of HTML to Markdown blocks: headings, paragraphs, nested lists, tables, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from retrieval.documents.readers.extract import TOO_LONG, Refused
from retrieval.documents.readers.markdown import blocks, heading, inline, plain, table

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = frozenset(HEADINGS) | frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "legend", "li", "main", "ol"),
        *("p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    )
)
_ABSOLUTE = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)
MAX_SPAN = 100


class Writer:
    """Writes one page."""

    def __init__(self, max_chars: int) -> None:
        self._left = max_chars
        self._level = 1
        """Of the heading above, so that the question of a `details` stands one below it."""

    def page(self, root: LexborNode) -> str:
        """The whole text below a node."""
        return blocks(self._blocks(root))

    def _blocks(self, node: LexborNode) -> Iterator[str]:
        """Blocks of a container; runs of text and inline elements between them are paragraphs."""
        run: list[str] = []
        for child in _children(node):
            tag = child.tag
            if child.is_element_node and (tag in BLOCKS or _holds_blocks(child)):
                yield self._paragraph(run)
                run = []
                yield from self._block(child, tag or "")
            else:
                run.append(self._inline(child))
        yield self._paragraph(run)

    def _paragraph(self, run: list[str]) -> str:
        text = "".join(run)
        return plain("\n".join(line for line in map(inline, text.split("\n")) if line))

    def _block(self, node: LexborNode, tag: str) -> Iterator[str]:
        if tag in HEADINGS:
            self._level = HEADINGS[tag]
            yield heading(self._level, self._flat(node))
        elif tag == "summary":
            yield heading(self._level + 1, self._flat(node))
        elif tag in {"ul", "ol"}:
            yield "\n".join(self._list(node, 0))
        elif tag == "dl":
            yield "\n".join(self._definitions(node))
        elif tag == "table":
            yield from self._table(node)
        elif tag == "pre":
            yield f"```\n{self._spend(node.text().strip(chr(10)).replace('```', ''))}\n```"
        elif tag != "hr":
            yield from self._blocks(node)

    def _list(self, node: LexborNode, depth: int) -> Iterator[str]:
        number = _number(node.attributes.get("start"), 1)
        for child in _children(node):
            if child.tag in {"ul", "ol"}:  # a list right inside a list, as old editors write it
                yield from self._list(child, depth + 1)
            elif child.tag == "li":
                mark = f"{number}." if node.tag == "ol" else "-"
                yield from self._item(child, depth, mark)
                number += 1

    def _item(self, node: LexborNode, depth: int, mark: str) -> Iterator[str]:
        """An entry: its own text on one line, the lists inside it below."""
        own: list[str] = []
        inner: list[str] = []
        self._into(node, own, inner, depth)
        text = inline("".join(own))
        if text:
            yield f"{'   ' * depth}{mark} {text}"
        yield from inner

    def _into(self, node: LexborNode, own: list[str], inner: list[str], depth: int) -> None:
        for child in _children(node):
            if child.tag in {"ul", "ol"}:
                inner.extend(self._list(child, depth + 1))
            elif child.is_element_node and (child.tag in BLOCKS or _holds_blocks(child)):
                own.append(" ")
                self._into(child, own, inner, depth)
                own.append(" ")
            else:
                own.append(self._inline(child))

    def _definitions(self, node: LexborNode) -> Iterator[str]:
        term = ""
        for child in node.css("dt, dd"):
            text = self._flat(child)
            if child.tag == "dt":
                term = text
            elif text:
                yield f"- {term}: {text}" if term else f"- {text}"

    def _table(self, node: LexborNode) -> Iterator[str]:
        caption = node.css_first("caption")
        if caption is not None:
            yield plain(self._flat(caption))
        rows = [row for row in node.css("tr") if _owner(row, "table") == node]
        cells = [[cell for cell in _children(row) if cell.tag in {"td", "th"}] for row in rows]
        if node.css_first("table table, h1, h2, h3") is not None or max(map(len, cells), default=0) < 2:
            # It only lays the page out.
            for row in cells:
                for cell in row:
                    yield from self._blocks(cell)
            return
        yield table(self._grid(cells))

    def _grid(self, rows: list[list[LexborNode]]) -> list[list[str]]:
        """Cells in their columns; one that spans rows stands in each, so that a row can be read alone."""
        hanging: dict[int, tuple[int, str]] = {}
        grid: list[list[str]] = []
        for row in rows:
            line: list[str] = []
            for cell in row:
                _hang(line, hanging)
                text = self._flat(cell)
                columns, down = (_number(cell.attributes.get(name), 1) for name in ("colspan", "rowspan"))
                for at in range(columns):
                    shown = text if at == 0 else ""
                    if down > 1:
                        hanging[len(line)] = (down - 1, shown)
                    line.append(shown)
            _hang(line, hanging)
            grid.append(line)
        return grid

    def _flat(self, node: LexborNode) -> str:
        """The text of a node on one line."""
        return inline(" ".join(self._pieces(node)))

    def _pieces(self, node: LexborNode) -> Iterator[str]:
        run: list[str] = []
        for child in _children(node):
            if child.is_element_node and (child.tag in BLOCKS or _holds_blocks(child)):
                yield "".join(run)
                run = []
                yield from self._pieces(child)
            else:
                run.append(self._inline(child))
        yield "".join(run)

    def _inline(self, node: LexborNode) -> str:
        if node.is_text_node:
            return self._spend(re.sub(r"\s+", " ", node.text_content or ""))
        if node.tag == "br":
            return "\n"
        if not node.is_element_node or node.tag in {"img", "input"}:
            return ""
        text = "".join(self._inline(child) for child in _children(node))
        return _linked(text, node.attributes.get("href") or "") if node.tag == "a" else text

    def _spend(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise Refused(TOO_LONG)
        return text


def _linked(text: str, target: str) -> str:
    """A link that a customer could follow keeps its target; one that says its own target is left as it is."""
    shown = inline(text)
    bare = re.sub(r"^(?:mailto:|tel:)", "", target.strip(), flags=re.IGNORECASE)
    if not shown or not _ABSOLUTE.match(target.strip()) or bare.rstrip("/") in shown or re.search(r"[\s()<>]", bare):
        return text
    return f"[{shown}]({target.strip()})"


def _children(node: LexborNode) -> Iterator[LexborNode]:
    return node.iter(include_text=True)


def _holds_blocks(node: LexborNode) -> bool:
    """Whether an inline element is used as a container, as web components and careless pages do."""
    return any(child.tag in BLOCKS for child in node.iter()) or any(_holds_blocks(child) for child in node.iter())


def _owner(node: LexborNode, tag: str) -> LexborNode | None:
    at = node.parent
    while at is not None and at.tag != tag:
        at = at.parent
    return at


def _number(value: str | None, default: int) -> int:
    """An attribute's number, within what a table may hold."""
    return min(max(int(value), 0), MAX_SPAN) if value and value.strip().isdecimal() else default


def _hang(line: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Cells from the rows above that reach down to the next place of this row."""
    while len(line) in hanging:
        left, text = hanging.pop(len(line))
        if left > 1:
            hanging[len(line)] = (left - 1, text)
        line.append(text)
