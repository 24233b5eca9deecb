"""Files that a person brings, put aside until they are read. Their names become the names of documents."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from retrieval.documents.reading import MAX_FILE_BYTES
from service.intake.terms import Result

MAX_FILES = 200
"""That are brought at once."""
MAX_BYTES = 200_000_000
"""Of all that is brought at once."""
MAX_NAME = 200
"""Bytes of a file's name; a file system takes 255, of which metadata beside it need ten."""
_PIECE = 1 << 20


class Brought(NamedTuple):
    """A file as it came."""

    name: str
    """As the person's machine calls it."""
    content: BinaryIO


def clean(name: str) -> str:
    """The name of a document: of a path its last part, without what cannot be seen."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    seen = "".join(one for one in last if unicodedata.category(one)[0] != "C")
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def put_aside(folder: Path, brought: Iterable[Brought]) -> list[Result]:
    """Write files into a folder of their own (blocking); what cannot be a document by its name is left out.

    Returns:
        What was refused, each with its reason; the others lie in the folder.
    """
    folder.mkdir(mode=0o700, parents=True)
    refused: list[Result] = []
    there: set[str] = set()
    for name, content in brought:
        document = clean(name)
        if reason := _unfit(document, there):
            refused.append(Result(document or name[:MAX_NAME], "refused", reason))
            continue
        there.add(document)
        with (folder / document).open("xb") as file:
            # One byte more than a reader takes: it refuses what is larger, and says so.
            left = MAX_FILE_BYTES + 1
            while left and (piece := content.read(min(left, _PIECE))):
                file.write(piece)
                left -= len(piece)
    return refused


def _unfit(document: str, there: set[str]) -> str:
    if not document or document.startswith("."):
        return "its name begins with a dot, or it has none; give it another one"
    if len(document.encode()) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} bytes; give it a shorter one"
    if document in there:
        return "another file of this name was brought with it"
    return ""
