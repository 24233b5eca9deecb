"""A wrong fact put right where it stands: the page before and after, and the new version of the knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from configs.brand import Brand
from configs.home import Home
from retrieval.brand_search import search_encoder
from retrieval.documents.loading import document_from_text
from retrieval.encoder import Encoder
from retrieval.errors import DocumentChanged, DocumentUnknown
from retrieval.grounding.fence import Fence
from retrieval.knowledge import inspection, store
from retrieval.passages import Document
from service.errors import NotPossible, RequestInvalid

AROUND = 2
"""Lines that are shown around a change."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference."""

    sign: Literal[" ", "-", "+", "…"]
    """`…` stands for lines that are alike and left out."""
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the knowledge, to be edited."""

    document: str
    title: str
    text: str
    sha256: str
    """Of the text; an edit says what it was made of."""
    file: str | None
    """What it was read from; once that changes, its words serve again. None where nothing was read from a file."""


def names(home: Home, brand: str) -> frozenset[str]:
    """Names of all pages of the knowledge that serves."""
    return frozenset(one.id for one in inspection.list_documents(home.knowledge, brand))


def page(home: Home, brand: str, document: str) -> Page:
    """A page with where it came from.

    Raises:
        RequestInvalid: There is none of this name.
    """
    found = read(home, brand, document)
    entry = next(one for one in inspection.list_documents(home.knowledge, brand) if one.id == document)
    return Page(document, found.title, found.text, found.sha256, document if entry.origin else None)


def normal(document: str, text: str) -> str:
    """A text as the knowledge keeps it: newlines and Unicode in one form; a browser sends others."""
    return document_from_text(document, text).text


def read(home: Home, brand: str, document: str) -> Document:
    """A page of the knowledge that serves.

    Raises:
        RequestInvalid: There is none of this name.
    """
    try:
        return inspection.read_document(home.knowledge, brand, document)
    except DocumentUnknown as error:
        raise RequestInvalid(str(error), param="document") from error


def difference(old: str, new: str) -> list[Line]:
    """What changes from one text to another, line by line, each change with the lines around it."""
    before, after = old.splitlines(), new.splitlines()
    found: list[Line] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(AROUND):
        if found or group[0][1]:
            found.append(Line("…", ""))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                found += [Line(" ", one) for one in before[i1:i2]]
            else:
                found += [Line("-", one) for one in before[i1:i2]]
                found += [Line("+", one) for one in after[j1:j2]]
        if group[-1][2] < len(before):
            found.append(Line("…", ""))
    return _without_repeats(found)


def _without_repeats(lines: Sequence[Line]) -> list[Line]:
    return [one for at, one in enumerate(lines) if one.sign != "…" or not at or lines[at - 1].sign != "…"]


def amend(home: Home, brand: Brand, shared: Encoder, document: str, text: str, *, expected: str, by: str = "") -> str:
    """Let a page say something else; a running gateway takes the new version up within two seconds.

    Args:
        home: The state folder.
        brand: Whose page.
        shared: The deployment's encoder, by which instructions are told.
        document: Its name.
        text: All that it says from now on.
        expected: Digest of the text that was edited.
        by: Who does it; kept with the page.

    Returns:
        The version that serves now.

    Raises:
        NotPossible: The page is gone, or was changed meanwhile.
    """
    encoder = search_encoder(home, brand, shared)
    try:
        change = store.amend(
            home.knowledge, brand.name, document, text, encoder, Fence(shared), expected=expected, by=by
        )
    except (DocumentChanged, DocumentUnknown) as error:
        raise NotPossible(str(error)) from error
    return change.version
