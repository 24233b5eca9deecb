"""DOCX: headings by style, lists by numbering, tables; python-docx opens the file and resolves its styles.

Read is what the page shows: inserted text, links and text boxes; not deleted text, comments, headers and footers.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retrieval.documents.readers.extract import Extract, Limits
from retrieval.documents.readers.markdown import blocks, heading, inline, item, plain, table

if TYPE_CHECKING:
    from docx.document import Document as DocxDocument

HIDDEN = "hidden runs of a DOCX"
DELETED = "deleted runs of a DOCX"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_HEADING = re.compile(r"^heading (\d)$", re.IGNORECASE)
_LIST = re.compile(r"^list\b", re.IGNORECASE)
_SMALLEST = 3
"""Half points: below 1.5 points nobody reads."""


def read_docx(data: bytes, _limits: Limits) -> Extract:
    """Read a DOCX file whose archive was checked."""
    import docx

    document = docx.Document(io.BytesIO(data))
    walk = _Walk(document)
    text = blocks(walk.blocks(document.element.body))
    title = inline(document.core_properties.title or "")
    return Extract((_tight(text),), title=title, hidden=+walk.hidden)


def _tight(text: str) -> str:
    """Entries of a list follow each other without blank lines."""
    return re.sub(r"(?m)^(\s*(?:- |\d+\. ).*)\n\n(?=\s*(?:- |\d+\. ))", r"\1\n", text)


class _Walk:
    """Walks the body in its order; python-docx's own lists of paragraphs leave out insertions and boxes."""

    def __init__(self, document: DocxDocument) -> None:
        self.hidden: Counter[str] = Counter()
        self._styles = {style.style_id: style for style in document.styles}
        self._formats = _number_formats(document)
        self._counts: dict[tuple[str, int], int] = {}
        self._shift = 0

    def blocks(self, node: Any) -> Iterator[str]:
        for child in node:
            if child.tag == f"{_W}p":
                yield self._paragraph(child)
                for box in child.iter(f"{_W}txbxContent"):
                    if not any(above.tag == f"{_MC}Fallback" for above in box.iterancestors()):
                        yield from self.blocks(box)
            elif child.tag == f"{_W}tbl":
                yield table(self._rows(child))
            elif child.tag in {f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml", f"{_W}smartTag"}:
                yield from self.blocks(child)

    def _rows(self, node: Any) -> Iterator[list[str]]:
        above: list[str] = []
        for row in node.iter(f"{_W}tr"):
            if next(row.iterancestors(f"{_W}tbl")) is not node:
                continue  # of a table inside a cell, whose text is read with the cell
            cells: list[str] = []
            for cell in row.iter(f"{_W}tc"):
                if next(cell.iterancestors(f"{_W}tr")) is not row:
                    continue
                merged = cell.find(f"{_W}tcPr/{_W}vMerge")
                goes_on = merged is not None and _value(merged) != "restart"
                span = cell.find(f"{_W}tcPr/{_W}gridSpan")
                text = " ".join(self._text(one) for one in cell.iter(f"{_W}p"))
                cells.append(above[len(cells)] if goes_on and len(cells) < len(above) else text)
                cells += [""] * (min(_whole(_value(span), 1), 100) - 1)
            above = cells
            yield cells

    def _paragraph(self, node: Any) -> str:
        text = self._text(node)
        if not text.strip():
            return ""
        style = self._style(node)
        names = [style.name or "" for style in _chain(style)]
        level = next((int(match[1]) for name in names if (match := _HEADING.match(name))), None)
        if names and names[0].lower() == "title":
            # The headings below stand under it.
            self._shift = 1
            return heading(1, text)
        if level is not None:
            return heading(level + self._shift, text)
        return self._list_item(node, style, names, text) or plain(text)

    def _list_item(self, node: Any, style: Any, names: list[str], text: str) -> str:
        number = _numbering(node, style)
        if number is None:
            if not any(_LIST.match(name) for name in names):
                return ""
            return item(text, mark="1." if "number" in names[0].lower() else "-")
        name, depth = number
        if name == "0":  # taken out of its list
            return ""
        if self._formats.get((name, depth), "bullet") == "bullet":
            return item(text, depth=depth)
        self._counts[name, depth] = self._counts.get((name, depth), 0) + 1
        for deeper in [key for key in self._counts if key[0] == name and key[1] > depth]:
            del self._counts[deeper]
        return item(text, depth=depth, mark=f"{self._counts[name, depth]}.")

    def _style(self, node: Any) -> Any:
        return self._styles.get(_value(node.find(f"{_W}pPr/{_W}pStyle")))

    def _text(self, node: Any) -> str:
        """The text of a paragraph as it is shown."""
        found: list[str] = []
        for run in node.iter(f"{_W}r"):
            if next(run.iterancestors(f"{_W}p"), None) is not node:
                continue  # of a text box, which is a block of its own
            text = "".join(_shown(child) for child in run)
            if any(above.tag in {f"{_W}del", f"{_W}moveFrom"} for above in run.iterancestors()):
                self.hidden[DELETED] += 1
            elif text.strip() and _is_hidden(run, self._styles):
                self.hidden[HIDDEN] += 1
            else:
                found.append(text)
        return "".join(found).strip()


def _shown(node: Any) -> str:
    if node.tag == f"{_W}t":
        return node.text or ""
    return {f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}tab": " ", f"{_W}noBreakHyphen": "-"}.get(node.tag, "")


def _is_hidden(run: Any, styles: dict[str, Any]) -> bool:
    """Whether a run is marked as hidden, is white on nothing, or too small to be read."""
    properties = run.find(f"{_W}rPr")
    if properties is None:
        return False
    style = styles.get(_value(properties.find(f"{_W}rStyle")))
    if _is_on(properties.find(f"{_W}vanish")) or (style is not None and style.font.hidden):
        return True
    size = _value(properties.find(f"{_W}sz"))
    if size.isdigit() and int(size) < _SMALLEST:
        return True
    return _value(properties.find(f"{_W}color")).upper() == "FFFFFF" and not _is_shaded(run)


def _is_shaded(run: Any) -> bool:
    """Whether the run, its paragraph, cell or table is painted; a table's style may paint it too."""
    for above in [run, *run.iterancestors()]:
        if above.tag == f"{_W}tbl" or above.find(f"{_W}rPr/{_W}highlight") is not None:
            return True
        for name in ("rPr", "pPr", "tcPr"):
            shade = above.find(f"{_W}{name}/{_W}shd")
            if shade is not None and shade.get(f"{_W}fill", "auto").upper() not in {"AUTO", "FFFFFF"}:
                return True
    return False


def _is_on(node: Any) -> bool:
    return node is not None and node.get(f"{_W}val", "true") not in {"0", "false", "off"}


def _value(node: Any) -> str:
    return str(node.get(f"{_W}val", "")) if node is not None else ""


def _whole(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def _chain(style: Any) -> Iterator[Any]:
    """A style and those it is based on; a circle ends."""
    seen: set[str] = set()
    while style is not None and style.style_id not in seen:
        seen.add(style.style_id)
        yield style
        style = getattr(style, "base_style", None)


def _numbering(node: Any, style: Any) -> tuple[str, int] | None:
    """The list and the depth of a paragraph, by itself or by its style."""
    found = node.find(f"{_W}pPr/{_W}numPr")
    if found is None:
        inherited = (one.element.find(f"{_W}pPr/{_W}numPr") for one in _chain(style))
        found = next((one for one in inherited if one is not None), None)
    if found is None:
        return None
    depth = _whole(_value(found.find(f"{_W}ilvl")), 0)
    return _value(found.find(f"{_W}numId")), min(depth, 8)


def _number_formats(document: DocxDocument) -> dict[tuple[str, int], str]:
    """Format of each (list, depth): `bullet`, `decimal` and others; empty where the file has no lists."""
    try:
        root = document.part.numbering_part.element
    except (KeyError, NotImplementedError):
        return {}
    abstract: dict[str, dict[int, str]] = {}
    for one in root.iter(f"{_W}abstractNum"):
        levels = {_whole(lvl.get(f"{_W}ilvl", "0"), 0): _value(lvl.find(f"{_W}numFmt")) for lvl in one.iter(f"{_W}lvl")}
        abstract[one.get(f"{_W}abstractNumId", "")] = levels
    found: dict[tuple[str, int], str] = {}
    for one in root.iter(f"{_W}num"):
        levels = abstract.get(_value(one.find(f"{_W}abstractNumId")), {})
        found |= {(one.get(f"{_W}numId", ""), depth): name for depth, name in levels.items()}
    return found
