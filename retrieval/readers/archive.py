"""Office files are zip archives of XML: what they hold is looked at before a library unpacks them."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from retrieval.readers.extract import Limits, Refused

KINDS = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx", "ppt/presentation.xml": "pptx"}
# In UTF-8 and, with a zero byte between, in UTF-16. Office never writes a DOCTYPE; entities can only come with one.
_DOCTYPE = re.compile(rb"<\0?!\0?(?:D\0?O\0?C\0?T\0?Y\0?P\0?E|E\0?N\0?T\0?I\0?T\0?Y)")
_XML = (".xml", ".rels", ".vml")
_CHUNK = 1 << 20


def office_kind(data: bytes) -> str | None:
    """`docx`, `xlsx` or `pptx`; None for another archive. Reads the list of parts only."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    return next((kind for part, kind in KINDS.items() if part in names), None)


def check_archive(data: bytes, limits: Limits) -> None:
    """Refuse an archive before it is unpacked.

    `zipfile` never gives more of a part than the size that the archive states, so the stated sizes can be relied on.

    Raises:
        Refused: Too many parts, too large when unpacked, macros, a password, or XML with a document type.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if len(parts) > limits.entries:
                raise Refused(f"{len(parts):,} parts inside, more than {limits.entries:,}")
            size = sum(part.file_size for part in parts)
            if size > limits.unpacked_bytes:
                raise Refused(f"{size / 1e6:,.0f} MB when unpacked, more than {limits.unpacked_bytes / 1e6:,.0f} MB")
            if any(part.flag_bits & 1 for part in parts):
                raise Refused("locked with a password; save it without")
            if any(part.filename.lower().endswith("vbaproject.bin") for part in parts):
                raise Refused("it holds macros; save it as a file without macros (.docx, .xlsx, .pptx)")
            for part in parts:
                if part.filename.lower().endswith(_XML) and _has_doctype(archive, part):
                    raise Refused(f"its part {part.filename!r} declares a document type, which can hide a bomb")
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, zlib.error) as error:
        raise Refused(f"damaged: not a whole zip archive ({error})") from None


def _has_doctype(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    tail = b""
    with archive.open(part) as stream:
        while piece := stream.read(_CHUNK):
            if _DOCTYPE.search(tail + piece):
                return True
            tail = piece[-32:]
    return False
