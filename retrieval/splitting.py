"""Documents to chunks: one section is one chunk, long sections are cut at paragraphs, lines, sentences.

Headings are found here because langchain-text-splitters' own Markdown splitter keeps no offsets; its recursive
splitter cuts what is too long. A citation can therefore be marked in the original text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from langchain_text_splitters import RecursiveCharacterTextSplitter

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


def split(document: Document, *, max_chars: int = MAX_CHARS, overlap_chars: int = OVERLAP_CHARS) -> list[Chunk]:
    """Split a document.

    Args:
        document: What to split.
        max_chars: Longest chunk, in characters.
        overlap_chars: How far a chunk may reach back into the one before, inside a section, to whole sentences.

    Returns:
        Chunks in the order of the text; `chunk.text == document.text[chunk.start:chunk.end]` holds for each.

    Raises:
        ValueError: The overlap is not smaller than the chunk.
    """
    if not 0 <= overlap_chars < max_chars:
        raise ValueError(
            f"overlap_chars must be at least 0 and less than max_chars, not {overlap_chars} of {max_chars}"
        )
    chunks: list[Chunk] = []
    for section in _sections(document.text):
        for start, end in _pieces(document.text, section, max_chars, overlap_chars):
            text = document.text[start:end]
            if _RULE.match(text):
                continue
            name = f"{document.id}#{len(chunks)}"
            chunks.append(Chunk(name, document.id, document.title, section.heading, text, start, end))
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


def _pieces(text: str, section: _Section, max_chars: int, overlap_chars: int) -> Iterator[tuple[int, int]]:
    body = text[section.start : section.end]
    if len(body.strip()) <= max_chars:
        yield from _stripped(text, section.start, section.end)
        return
    splitter = RecursiveCharacterTextSplitter(
        separators=list(SEPARATORS),
        chunk_size=max_chars - overlap_chars,
        chunk_overlap=0,
        keep_separator="end",
        strip_whitespace=False,
    )
    at = section.start
    for number, piece in enumerate(splitter.split_text(body)):
        # Found again rather than counted: correct even if a version of the splitter drops blanks.
        start = text.index(piece, at)
        at = start + len(piece)
        reach = _reach_back(text, start, overlap_chars, section.start) if number else start
        yield from _stripped(text, reach, at)


def _reach_back(text: str, start: int, overlap_chars: int, floor: int) -> int:
    """Where the overlap begins: the first sentence or line that starts within reach."""
    window = text[max(floor, start - overlap_chars) : start]
    match = re.search(r"(?:[.!?]\s+|\n)(?=\S)", window)
    return start - len(window) + match.end() if match else start


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
