"""A person's words and ids in files: found, taken out, or told of where nothing can be taken out.

A row of a `.jsonl` goes whole; elsewhere a place is overwritten where it stands, so that who writes on (a log) is not
disturbed. Models, adapters and knowledge are not looked into: they hold what the brand wrote, bound by digest.
"""

from __future__ import annotations

import html
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from configs.home import Home

MIN_ID = 5
"""Characters; a shorter id stands in too much that is nobody's."""
MIN_TEXT = 30
"""A shorter message says nothing of a person by itself, and others wrote it too."""
ROWS = (".jsonl", ".ndjson")
CLOSED = (".gz", ".zip", ".parquet", ".xlsx", ".tar", ".zst", ".bz2", ".xz")
"""Suffixes of files that may hold words and are not read here."""
HEAD = 4096
"""Bytes by which a text is told from anything else."""

Pattern = re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Needles:
    """What to look for: ids stand alone, texts anywhere."""

    ids: frozenset[str]
    """Of conversations, turns and messages: they say whose a row is."""
    texts: frozenset[str] = frozenset()
    contact: frozenset[str] = frozenset()
    """How platforms name the person. One without a digit is not looked for: it may be any word."""

    def pattern(self, *, only_ids: bool = False) -> Pattern | None:
        """All of them as they may be written down: plain, in JSON, in HTML; None where there are none."""
        contact = {one for one in self.contact if not only_ids and any(letter.isdigit() for letter in one)}
        every = {form for one in self.ids | contact if len(one) >= MIN_ID for form in _forms(one)}
        ids = sorted(every, key=len, reverse=True)
        words = {form for one in self.texts if not only_ids and len(one) >= MIN_TEXT for form in _forms(one)}
        parts = []
        if ids:
            parts.append(rb"(?<![A-Za-z0-9_-])(?:" + b"|".join(map(re.escape, ids)) + rb")(?![A-Za-z0-9_-])")
        parts += [re.escape(one) for one in sorted(words, key=len, reverse=True)]
        return re.compile(b"|".join(parts)) if parts else None


@dataclass(slots=True)
class Found:
    """What was taken out, or would be."""

    rows: dict[str, int] = field(default_factory=dict)
    """Rows by file."""
    places: dict[str, int] = field(default_factory=dict)
    """Overwritten places by file."""
    closed: list[str] = field(default_factory=list)
    """Files that could not be looked into."""
    digests: set[str] = field(default_factory=set)
    """Of the training data that files of examples with such rows were made of."""


def clean_home(home: Home, needles: Needles, *, dry_run: bool) -> Found:
    """Take a person out of all files of the state folder but the database.

    Raises:
        OSError: A file cannot be read or written; run it again.
    """
    found, pattern = Found(), needles.pattern()
    for path in _files(home):
        name = path.relative_to(home.root).as_posix()
        if path.suffix in CLOSED:
            found.closed.append(name)
            continue
        if pattern is None or not _is_text(path):
            continue
        if path.suffix in ROWS:
            if count := len(rows_with(path, pattern)):
                found.rows[name] = count
                found.digests |= data_digest(path)
                if not dry_run:
                    drop_rows(path, pattern)
        elif count := _mask(path, pattern, dry_run=dry_run):
            found.places[name] = count
    return found


def rows_with(path: Path, pattern: Pattern) -> list[int]:
    """Numbers of the lines, from 1, in which something of a person stands."""
    with path.open("rb") as file:
        return [number for number, line in enumerate(file, start=1) if pattern.search(line)]


def drop_rows(path: Path, pattern: Pattern) -> None:
    """Replace a file by one without those lines."""
    new = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        with path.open("rb") as file, new.open("xb") as kept:
            os.fchmod(kept.fileno(), os.fstat(file.fileno()).st_mode & 0o777)
            kept.writelines(line for line in file if not pattern.search(line))
            kept.flush()
            os.fsync(kept.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def data_digest(path: Path) -> set[str]:
    """The digest of its data that a file of examples begins with (`training.examples`)."""
    with path.open("rb") as file:
        try:
            head = json.loads(file.readline())
        except ValueError:
            return set()
    return {str(head["data_sha256"])} if isinstance(head, dict) and "data_sha256" in head else set()


def _files(home: Home) -> Iterator[Path]:
    # Files of visitors go with their rows.
    skipped = {home.models, home.adapters, home.knowledge, home.files}
    for folder, folders, files in os.walk(home.root):
        here = Path(folder)
        folders[:] = sorted(one for one in folders if here / one not in skipped)
        for name in sorted(files):
            if not (here / name).name.startswith(home.database.name) and (here / name).is_file():
                yield here / name


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(HEAD)


def _mask(path: Path, pattern: Pattern, *, dry_run: bool) -> int:
    content = path.read_bytes()
    places = [one.span() for one in pattern.finditer(content)]
    if places and not dry_run:
        with path.open("r+b") as file:
            for begin, end in places:
                file.seek(begin)
                file.write(b"x" * (end - begin))
            file.flush()
            os.fsync(file.fileno())
    return len(places)


def _forms(text: str) -> set[bytes]:
    ways: Collection[Callable[[str], str]] = (
        str,
        lambda one: json.dumps(one)[1:-1],
        lambda one: json.dumps(one, ensure_ascii=False)[1:-1],
        html.escape,
    )
    return {way(text).encode("utf-8", "replace") for way in ways}
