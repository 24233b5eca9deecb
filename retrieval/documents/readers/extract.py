"""What readers take and give; it crosses the border between the processes as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

TOO_LONG = "its text is longer than one document may be; split it"


class Refused(Exception):
    """A reader will not read this file; the message is the reason, as a person will see it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one document may cost."""

    file_bytes: int = 50_000_000
    chars: int = 5_000_000
    """Of the text that comes out."""
    pages: int = 2_000
    """Of a PDF; slides of a presentation."""
    unpacked_bytes: int = 200_000_000
    """Of all parts of an Office file, which is a zip archive."""
    entries: int = 5_000
    """Parts of an Office file."""
    memory_bytes: int = 1_000_000_000
    """Address space of the worker."""
    cpu_seconds: int = 60
    wall_seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class Extract:
    """The text of a document."""

    parts: tuple[str, ...]
    """Pages or slides in order; one part where the format has none."""
    paged: bool = False
    """Whether the parts are pages, counted from 1."""
    title: str = ""
    """What the file says of itself, for texts without a heading."""
    hidden: Counter[str] = field(default_factory=Counter)
    """What was left out because nobody sees it, by kind."""
    form: str = ""
    """The format, where only the reader could tell it."""
