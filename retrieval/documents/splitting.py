"""Documents to chunks: one section is one chunk, long sections are cut at paragraphs, lines, sentences.

Headings are found here because langchain-text-splitters' own Markdown splitter keeps no offsets; its recursive
splitter cuts what is too long. A citation can therefore be marked in the original text.

A section whose cuts would fall into a table or a list is packed from whole ones instead. Every other section is cut as
it always was, because adapters are trained on the passages that the cuts give.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from retrieval.documents.structure import Block, tables_and_lists
from retrieval.passages import Chunk, Document

MAX_CHARS = 600
"""About 150 tokens: four passages stay below the prompt's budget of 700 tokens for a small model."""
OVERLAP_CHARS = 80
SEPARATORS = ("\n\n", "\n", ". ", "! ", "? ", "; ", ", ", " ", "")
_HEADING = re.compile(r"^ {0,3}(?P<marks>#{1,6})(?:[ \t]+(?P<title>.*?))?[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})")
_RULE = re.compile(r"^[\s*_=-]*$")


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    head: str = ""
    """Of the table whose later rows these are."""


def split(document: Document, *, max_chars: int = MAX_CHARS, overlap_chars: int = OVERLAP_CHARS) -> list[Chunk]:
    """Split a document.

    Args:
        document: What to split.
        max_chars: Longest chunk, in characters.
        overlap_chars: How far a chunk may reach back into the one before, inside a section, to whole sentences.

    Returns:
        Chunks in the order of the text; `chunk.text == document.text[chunk.start:chunk.end]` holds for each. The later
        parts of a table that is cut have its head as the last part of their heading, since it is not in their text.

    Raises:
        ValueError: The overlap is not smaller than the chunk.
    """
    if not 0 <= overlap_chars < max_chars:
        raise ValueError(
            f"overlap_chars must be at least 0 and less than max_chars, not {overlap_chars} of {max_chars}"
        )
    chunks: list[Chunk] = []
    for section in _sections(document.text):
        for piece in _pieces(document.text, section, max_chars, overlap_chars):
            text = document.text[piece.start : piece.end]
            if _RULE.match(text):
                continue
            name = f"{document.id}#{len(chunks)}"
            heading = " > ".join(one for one in (section.heading, piece.head) if one)
            page = bisect_right(document.pages, piece.start) or None
            chunks.append(Chunk(name, document.id, document.title, heading, text, piece.start, piece.end, page))
    return chunks


def searchable(chunk: Chunk) -> str:
    """The text that is embedded and indexed: where it stands, then what it says."""
    head = chunk.heading or chunk.title
    return f"{head}\n{chunk.text}" if chunk.title in head else f"{chunk.title} > {head}\n{chunk.text}"


def _sections(text: str) -> Iterator[_Section]:
    """Stretches between headings, each with the path of headings above it."""
    path: list[tuple[int, str]] = []
    start = at = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        mark = _FENCE.match(bare)
        if fence:
            if mark and mark["fence"].startswith(fence):
                fence = ""
        elif mark:
            fence = mark["fence"]
        elif heading := _HEADING.match(bare):
            yield _Section(" > ".join(title for _, title in path), start, at)
            level = len(heading["marks"])
            path = [(above, title) for above, title in path if above < level]
            path.append((level, (heading["title"] or "").strip()))
            start = at + len(line)
        at += len(line)
    yield _Section(" > ".join(title for _, title in path), start, len(text))


def _pieces(text: str, section: _Section, max_chars: int, overlap_chars: int) -> Iterator[_Piece]:
    if len(text[section.start : section.end].strip()) <= max_chars:
        yield from _stripped(text, _Piece(section.start, section.end))
        return
    cuts = list(_cut(text, section.start, section.end, max_chars - overlap_chars))
    blocks = list(tables_and_lists(text, section.start, section.end))
    if any(block.start < cut.start < block.end for cut in cuts for block in _near(blocks, cut.start)):
        units = list(_units(text, section, blocks, max_chars, overlap_chars))
        yield from _packed(text, units, max_chars)
        return
    for number, cut in enumerate(cuts):
        reach = _reach_back(text, cut.start, overlap_chars, section.start) if number else cut.start
        yield from _stripped(text, _Piece(reach, cut.end))


def _near(blocks: list[Block], at: int) -> list[Block]:
    """The last block that begins before a place."""
    number = bisect_right(blocks, at, key=lambda block: block.start)
    return blocks[max(0, number - 1) : number]


def _cut(text: str, start: int, end: int, size: int) -> Iterator[_Piece]:
    # Here, because it takes half a second to load, and most documents hold no section that must be cut.
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        separators=list(SEPARATORS),
        chunk_size=size,
        chunk_overlap=0,
        keep_separator="end",
        strip_whitespace=False,
    )
    at = start
    for piece in splitter.split_text(text[start:end]):
        # Found again rather than counted: correct even if a version of the splitter drops blanks.
        found = text.index(piece, at)
        at = found + len(piece)
        yield _Piece(found, at)


def _units(text: str, section: _Section, blocks: list[Block], max_chars: int, overlap_chars: int) -> Iterator[_Piece]:
    """What is packed to chunks: whole tables and lists, rows and entries of long ones, pieces of the text between."""
    at = section.start
    for block in blocks:
        yield from _cut(text, at, block.start, max_chars - overlap_chars)
        at = block.end
        if len(text[block.start : block.end].strip()) <= max_chars:
            yield _Piece(block.start, block.end)
            continue
        # The head stays with the first row.
        starts = [block.start, *block.rows[1:], block.end]
        for number, (start, end) in enumerate(pairwise(starts)):
            head = block.head if number else ""
            if end - start <= max_chars:
                yield _Piece(start, end, head)
            else:
                yield from (_Piece(one.start, one.end, head) for one in _cut(text, start, end, max_chars))
    yield from _cut(text, at, section.end, max_chars - overlap_chars)


def _packed(text: str, units: list[_Piece], max_chars: int) -> Iterator[_Piece]:
    """Neighbouring units together while they fit.

    A table or a list that fits a chunk begins a new one rather than being cut; a row that needs its head begins one too
    unless its table is in the chunk already.
    """
    chunk: _Piece | None = None
    for unit in units:
        if chunk is not None and len(text[chunk.start : unit.end].strip()) <= max_chars:
            chunk = replace(chunk, end=unit.end)
            continue
        if chunk is not None:
            yield from _stripped(text, chunk)
        chunk = unit
    if chunk is not None:
        yield from _stripped(text, chunk)


def _reach_back(text: str, start: int, overlap_chars: int, floor: int) -> int:
    """Where the overlap begins: the first sentence or line that starts within reach."""
    window = text[max(floor, start - overlap_chars) : start]
    match = re.search(r"(?:[.!?]\s+|\n)(?=\S)", window)
    return start - len(window) + match.end() if match else start


def _stripped(text: str, piece: _Piece) -> Iterator[_Piece]:
    start, end = piece.start, piece.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield replace(piece, start=start, end=end)
