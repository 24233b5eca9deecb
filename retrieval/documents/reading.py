"""The bytes of one file to a document: which format it is, how it is read, what was left out of it.

Markdown and text are decoded here. Every other format is parsed in `retrieval.documents.readers.sandbox`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from retrieval.documents.hidden import strip_hidden
from retrieval.documents.readers.extract import Extract, Limits, Refused
from retrieval.documents.readers.faq import decoded
from retrieval.documents.readers.sandbox import Sandbox
from retrieval.errors import MetadataInvalid
from retrieval.metadata import PLAIN, SIDE_SUFFIX, Metadata, split_front_matter
from retrieval.passages import Document

FORMATS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".xlsx": "xlsx",
    ".pptx": "pptx",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
}
SUFFIXES = frozenset(FORMATS)
MACROS = frozenset({".docm", ".dotm", ".xlsm", ".xltm", ".pptm", ".potm", ".ppsm"})
MAX_BYTES = 5_000_000
"""Of Markdown and text."""
MAX_FILE_BYTES = Limits().file_bytes
BETWEEN_PAGES = "\n\n"
_HEAD = 4096
_TITLE = re.compile(r"^#[ \t]+(?P<title>.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
# Format feeds and their like: no text, and some of them end lines for Python but not for Markdown.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_BINARY = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Office file, or one with a password; save it as .docx, .xlsx or .pptx",
    ),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"\x1f\x8b", "compressed; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "compressed; unpack it"),
    (b"Rar!", "compressed; unpack it"),
    (b"{\\rtf", "an RTF file; save it as .docx"),
)
_HTML = re.compile(
    r"^\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was left out."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a document that was read and is worth knowing, such as hidden text that was left out."""

    path: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found under one path, in order of the names."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[Note, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Ids of documents whose files are the ones that are known, and were not parsed."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """What names the file of each document that was read from one, by the document's id."""


def read_document(
    name: str,
    data: bytes,
    suffix: str,
    sandbox: Sandbox,
    *,
    charset: str | None = None,
    metadata: Metadata | None = None,
) -> tuple[Document, tuple[Note, ...]]:
    """Read one file.

    Args:
        name: The id of the document.
        data: The bytes of the file.
        suffix: What its name or its server says that it is, such as `.pdf`; its first bytes may know better.
        sandbox: Where formats other than Markdown and text are parsed.
        charset: Of HTML, as the server named it.
        metadata: What stands beside the document; Markdown and text may begin with it instead.

    Raises:
        Refused: It cannot be read; the message is the reason.
        MetadataInvalid: Its front matter cannot be used.
    """
    if not data.strip():
        raise Refused("empty")
    claimed = FORMATS.get(suffix, "text")
    form = _format(data, claimed)
    plain = form in {"markdown", "text"}
    if plain:
        extract, metadata = _plain(name, data, metadata)
    else:
        extract = sandbox.read(data, form, charset=charset)
    hidden = Counter(extract.hidden)
    parts: list[str] = []
    for part in extract.parts:
        text = _normalised(part)
        text, found = strip_hidden(text if plain else _CONTROLS.sub("", text), markup=form == "markdown")
        hidden.update(found)
        parts.append(text)
    if not any(part.strip() for part in parts):
        raise Refused("empty")
    notes = [Note(name, kind, count) for kind, count in sorted(hidden.items())]
    form = extract.form or form
    if form != claimed and not (plain and claimed in {"markdown", "text"}):
        notes.append(Note(name, f"read as {form.upper()}, which it is whatever its name says", 1))
    document = _document(name, parts, paged=extract.paged, title=extract.title)
    return replace(document, metadata=metadata or PLAIN), tuple(notes)


def document_from_text(name: str, text: str) -> Document:
    """Make a document of a text: newlines and Unicode normalised, title from the first `#` heading or the name."""
    return _document(name, [_normalised(text)])


def _document(name: str, parts: Sequence[str], *, paged: bool = False, title: str = "") -> Document:
    pages, at = [], 0
    for part in parts:
        pages.append(at)
        at += len(part) + len(BETWEEN_PAGES)
    text = BETWEEN_PAGES.join(parts)
    match = _TITLE.search(text)
    title = match["title"] if match else title or re.sub(r"[-_]+", " ", PurePosixPath(name).stem).strip().capitalize()
    return Document(name, title, text, hashlib.sha256(text.encode()).hexdigest(), pages=tuple(pages) if paged else ())


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFC", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def _plain(name: str, data: bytes, beside: Metadata | None) -> tuple[Extract, Metadata | None]:
    """The text without its front matter, and what is known of it, from there or from beside it."""
    if len(data) > MAX_BYTES:
        raise Refused(f"larger than {MAX_BYTES // 1_000_000} MB ({len(data) / 1e6:.1f} MB); split it")
    text = decoded(data)
    if "\x00" in text:
        raise Refused("binary: it holds NUL characters")
    inside, text = split_front_matter(text)
    if inside is not None and beside is not None:
        raise MetadataInvalid(
            f"metadata at its top and in {PurePosixPath(name).name}{SIDE_SUFFIX}; keep one of the two"
        )
    return Extract((text,)), inside or beside


def _format(data: bytes, claimed: str) -> str:
    """The format by the first bytes; by the name where they say nothing.

    Raises:
        Refused: The bytes are of something that is no document.
    """
    head = data[:_HEAD]
    if head.startswith(b"%PDF-") or (claimed == "pdf" and b"%PDF-" in head):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "office"
    for mark, what in _BINARY:
        if head.startswith(mark):
            raise Refused(what)
    if claimed != "html" and _HTML.match(head.decode("latin-1")):
        return "html"
    if claimed in {"pdf", "docx", "xlsx", "pptx"}:
        raise Refused(f"not {claimed.upper()}, whatever its name says")
    return claimed
