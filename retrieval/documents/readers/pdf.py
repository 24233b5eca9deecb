"""PDF: the text of each page; headings by size of type, lists by their marks.

A PDF has no paragraphs and no tables, only letters in places. Lines that follow each other closely are joined; a table
stays lines of text, because pypdf does not tell where its columns are.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.documents.readers.extract import TOO_LONG, Extract, Limits, Refused
from retrieval.documents.readers.markdown import blocks, heading, inline, item, plain
from retrieval.documents.readers.pdf_ink import Ink

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

INVISIBLE = "invisible characters of a PDF"
HEADING_SCALE = 1.15
"""How much larger than the body a heading is set; 1.2 is the smallest step of common styles."""
HEADING_CHARS = 150
LEVELS = 4
PARAGRAPH_GAP = 1.6
"""Distance of base lines, in heights of type, from which on a new paragraph begins; 1.2 is set solid."""
REPEATED_ON = 0.6
"""Share of pages from which on a line at the edge of a page is a running head or foot."""
_BULLET = re.compile(r"^\s*[\u2022\u2023\u25aa\u25cf\u25e6\u2043\u2219\uf0b7\u00b7]\s*")
_NUMBERED = re.compile(r"^\s*(?P<mark>\d{1,3}[.)])\s+")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-$")


@dataclass(slots=True)
class _Line:
    text: str
    size: float
    """Height of type in points."""
    y: float
    """Of the base line, from the bottom of the page."""


def read_pdf(data: bytes, limits: Limits) -> Extract:
    """Read a PDF page by page."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        _unlock(reader)
        title, pages, hidden = _lines_of(reader, limits)
    except DependencyError as error:
        raise Refused(f"encrypted in a way that needs another package ({error})") from None
    except PyPdfError as error:
        raise Refused(f"damaged or not a PDF ({error})") from None
    _drop_running_heads(pages)
    sizes = _heading_sizes(pages)
    parts = tuple(_written(lines, sizes) for lines in pages)
    if not any(parts):
        raise Refused("no text in it: a scan needs recognition of its letters (OCR) first")
    return Extract(parts, paged=True, title=title, hidden=hidden)


def _unlock(reader: PdfReader) -> None:
    """A PDF that only forbids printing opens with the empty password, as in any viewer."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("encrypted; save it without a password")


def _lines_of(reader: PdfReader, limits: Limits) -> tuple[str, list[list[_Line]], Counter[str]]:
    pages: list[list[_Line]] = []
    hidden: Counter[str] = Counter()
    chars = 0
    for page in _pages(reader, limits):
        lines, unseen = _page_lines(page)
        chars += sum(len(line.text) for line in lines)
        if chars > limits.chars:
            raise Refused(TOO_LONG)
        pages.append(lines)
        hidden[INVISIBLE] += unseen
    if not pages:
        raise Refused("no pages in it")
    title = reader.metadata.title if reader.metadata else None
    return inline(title if isinstance(title, str) else ""), pages, +hidden


def _pages(reader: PdfReader, limits: Limits) -> Iterator[PageObject]:
    # The stated number may lie in both directions: it is looked at first, and the pages are counted as they come.
    stated = reader.get_num_pages()
    if stated > limits.pages:
        raise Refused(f"{stated:,} pages, more than {limits.pages:,}; split it")
    for number, page in enumerate(reader.pages):
        if number >= limits.pages:
            raise Refused(f"more than {limits.pages:,} pages; split it")
        yield page


def _page_lines(page: PageObject) -> tuple[list[_Line], int]:
    """The lines of a page, and how many characters nobody sees were left out.

    Where all letters are invisible and there is a picture, they are the recognised text of a scan, and are read.
    """
    box = page.mediabox
    edges = (float(box.left), float(box.bottom), float(box.right), float(box.top))
    ink = Ink(edges)
    lines = _extracted(page, ink)
    if ink.unseen and not ink.seen and ink.pictures:
        return _extracted(page, Ink(edges, sees_all=True)), 0
    return lines, ink.unseen


def _extracted(page: PageObject, ink: Ink) -> list[_Line]:
    lines: list[_Line] = []
    text, size, y = "", 0.0, 0.0

    def write(piece: str, cm: Sequence[float], tm: Sequence[float], _font: Any, font_size: float | None) -> None:
        nonlocal text, size, y
        height = abs(float(font_size or 0)) * _scale(tm) * _scale(cm)
        base = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        for at, part in enumerate(piece.split("\n")):
            if at:
                lines.append(_Line(text.rstrip(), size, y))
                text, size = "", 0.0
            if part.strip() and (not text.strip() or height > size):
                size, y = height, base
            text += part

    page.extract_text(
        visitor_operand_before=ink.before, visitor_operand_after=ink.after, visitor_text=write, orientations=(0,)
    )
    lines.append(_Line(text.rstrip(), size, y))
    return [line for line in lines if line.text.strip()]


def _scale(matrix: Sequence[float]) -> float:
    return float((matrix[2] ** 2 + matrix[3] ** 2) ** 0.5)


def _drop_running_heads(pages: list[list[_Line]]) -> None:
    """Leave out the first and last lines that come again on most pages, whatever number they hold."""
    if len(pages) < 3:
        return
    for at in (0, -1):
        keys = Counter(re.sub(r"\d+", "0", lines[at].text.strip()) for lines in pages if lines)
        often = {key for key, count in keys.items() if count >= max(3, REPEATED_ON * len(pages))}
        # The head of the first page may be the title that the others repeat.
        for lines in pages if at else pages[1:]:
            if lines and re.sub(r"\d+", "0", lines[at].text.strip()) in often:
                del lines[at]


def _heading_sizes(pages: list[list[_Line]]) -> list[float]:
    """Sizes of type that are headings, largest first; the body is the size that most characters have."""
    chars: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            chars[round(line.size, 1)] += len(line.text)
    if not chars:
        return []
    body = chars.most_common(1)[0][0]
    return sorted((size for size in chars if size >= body * HEADING_SCALE), reverse=True)[:LEVELS]


def _written(lines: list[_Line], sizes: list[float]) -> str:
    """A page as Markdown: neighbouring lines of a size are one paragraph, heading or entry."""
    found: list[str] = []
    block: list[_Line] = []
    for line in lines:
        if block and _begins(block[-1], line, sizes):
            found.append(_block(block, sizes))
            block = []
        block.append(line)
    if block:
        found.append(_block(block, sizes))
    return re.sub(r"(?m)^((?:- |\d+[.)] ).*)\n\n(?=- |\d+[.)] )", r"\1\n", blocks(found))


def _begins(last: _Line, line: _Line, sizes: list[float]) -> bool:
    """Whether a line begins a new block."""
    if _BULLET.match(line.text) or _NUMBERED.match(line.text):
        return True
    if round(last.size, 1) != round(line.size, 1) and {round(last.size, 1), round(line.size, 1)} & set(sizes):
        return True
    # A new column starts above: its distance is below zero.
    return not 0 <= last.y - line.y <= PARAGRAPH_GAP * max(last.size, line.size)


def _block(lines: list[_Line], sizes: list[float]) -> str:
    text = _joined(lines)
    size = round(lines[0].size, 1)
    if size in sizes and len(text) <= HEADING_CHARS:
        return heading(sizes.index(size) + 1, text)
    if bullet := _BULLET.match(text):
        return item(text[bullet.end() :])
    if number := _NUMBERED.match(text):
        return item(text[number.end() :], mark=number["mark"])
    return plain(text)


def _joined(lines: list[_Line]) -> str:
    """Lines of a paragraph; short ones, as in an address or a table, stay lines."""
    widest = max(len(line.text) for line in lines)
    text = ""
    for at, line in enumerate(lines):
        piece = inline(line.text)
        if not at:
            text = piece
        elif _HYPHEN.search(text) and piece[:1].islower():
            text = text[:-1] + piece
        else:
            wrapped = len(lines[at - 1].text) > 0.7 * widest and widest > 40
            text += (" " if wrapped else "\n") + piece
    return text
