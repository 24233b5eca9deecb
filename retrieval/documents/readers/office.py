"""Office files: the archive is checked, then the reader of its kind reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from retrieval.documents.readers.archive import check_archive
from retrieval.documents.readers.extract import Extract, Limits


def read_office(data: bytes, limits: Limits) -> Extract:
    """Read a DOCX, XLSX or PPTX file, whichever it is; `form` of the extract says."""
    kind = check_archive(data, limits)
    return replace(_reader(kind)(data, limits), form=kind)


def _reader(kind: str) -> Callable[[bytes, Limits], Extract]:
    match kind:
        case "docx":
            from retrieval.documents.readers.word import read_docx

            return read_docx
        case "xlsx":
            from retrieval.documents.readers.sheets import read_xlsx

            return read_xlsx
        case _:
            from retrieval.documents.readers.slides import read_pptx

            return read_pptx
