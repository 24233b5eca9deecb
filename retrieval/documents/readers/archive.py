"""Office files are zip archives of XML: what they hold is looked at before a library unpacks them."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence

from retrieval.documents.readers.extract import Limits, Refused

KINDS = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx", "ppt/presentation.xml": "pptx"}
# In UTF-8 and, with a zero byte between, in UTF-16. Office never writes a DOCTYPE; entities can only come with one.
_DOCTYPE = re.compile(rb"<\0?!\0?(?:D\0?O\0?C\0?T\0?Y\0?P\0?E|E\0?N\0?T\0?I\0?T\0?Y)")
# Parsers know encodings, such as UTF-7, in which a DOCTYPE looks like something else.
_ODD_ENCODING = re.compile(
    rb"^\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"'](?!utf-?8|utf-?16|us-ascii|iso-8859-1|windows-1252)", re.IGNORECASE
)
_XML = (".xml", ".rels", ".vml")
_CHUNK = 1 << 20


def check_archive(data: bytes, limits: Limits) -> str:
    """Refuse an archive before it is unpacked, and tell which kind it is.

    `zipfile` never gives more of a part than the size that the archive states, so the stated sizes can be relied on.

    Returns:
        `docx`, `xlsx` or `pptx`.

    Raises:
        Refused: Too many parts, too large when unpacked, macros, a password, XML with a document type, or no Office
            file at all.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            _check_sizes(parts, limits)
            kind = next((kind for part, kind in KINDS.items() if part in archive.NameToInfo), None)
            if kind is None:
                raise Refused("a zip archive, not a document; unpack it")
            for part in parts:
                if part.flag_bits & 1:
                    raise Refused("locked with a password; save it without")
                if part.filename.lower().endswith("vbaproject.bin"):
                    raise Refused("it holds macros; save it as a file without macros (.docx, .xlsx, .pptx)")
                if part.filename.lower().endswith(_XML):
                    _check_xml(archive, part)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, zlib.error) as error:
        raise Refused(f"damaged: not a whole zip archive ({error})") from None
    return kind


def _check_sizes(parts: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    if len(parts) > limits.entries:
        raise Refused(f"{len(parts):,} parts inside, more than {limits.entries:,}")
    size = sum(part.file_size for part in parts)
    if size > limits.unpacked_bytes:
        raise Refused(f"{size / 1e6:,.0f} MB when unpacked, more than {limits.unpacked_bytes / 1e6:,.0f} MB")


def _check_xml(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    tail = b""
    with archive.open(part) as stream:
        while piece := stream.read(_CHUNK):
            if not tail and _ODD_ENCODING.match(piece):
                raise Refused(f"its part {part.filename!r} is in an encoding that Office does not write")
            if _DOCTYPE.search(tail + piece):
                raise Refused(f"its part {part.filename!r} declares a document type, which can hide a bomb")
            tail = piece[-32:]
