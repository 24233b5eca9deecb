"""PPTX: each slide is a page; titles, text, tables. Speaker notes and hidden slides are not shown, so not read."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

from retrieval.documents.readers.extract import Extract, Limits, Refused
from retrieval.documents.readers.markdown import blocks, heading, inline, item, plain, table

NOTES = "speaker notes of a PPTX"
SLIDES = "hidden slides of a PPTX"


def read_pptx(data: bytes, limits: Limits) -> Extract:
    """Read a PPTX file whose archive was checked.

    A hidden slide is an empty page, so that the numbers stay those of the file.
    """
    import pptx

    show = pptx.Presentation(io.BytesIO(data))
    if len(show.slides) > limits.pages:
        raise Refused(f"{len(show.slides):,} slides, more than {limits.pages:,}; split it")
    hidden: Counter[str] = Counter()
    parts: list[str] = []
    for slide in show.slides:
        if slide.element.get("show") in {"0", "false"}:
            hidden[SLIDES] += 1
            parts.append("")
            continue
        if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
            hidden[NOTES] += 1
        title = slide.shapes.title
        head = heading(2, title.text_frame.text) if title is not None else ""
        body = _shapes(slide.shapes, title.shape_id if title is not None else None)
        parts.append(blocks([head, *body]))
    return Extract(tuple(parts), paged=True, title=inline(show.core_properties.title or ""), hidden=hidden)


def _shapes(shapes: Any, title: int | None) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _shapes(shape.shapes, title)
        elif getattr(shape, "has_table", False):
            yield table([cell.text for cell in row.cells] for row in shape.table.rows)
        elif getattr(shape, "has_text_frame", False) and shape.shape_id != title:
            yield _frame(shape)


def _frame(shape: Any) -> str:
    """Text of a shape; the paragraphs of a content placeholder are shown with bullets."""
    paragraphs = [(inline(one.text.replace("\v", " ")), one.level) for one in shape.text_frame.paragraphs]
    paragraphs = [(text, level) for text, level in paragraphs if text]
    if shape.is_placeholder and len(paragraphs) > 1:
        return "\n".join(item(text, depth=level) for text, level in paragraphs)
    return plain("\n".join(text for text, _ in paragraphs))
