"""What a new adapter is judged by: a brand's held-out questions, and those that people added since.

A deployment's YAML names the first file, which nobody writes into while it runs; a brand that the console made has its
own in the state folder. Accepted corrections are a second one, written whole. What people write in the console goes to
`questions/<brand>.jsonl` of the state folder. All have the same form; `training.conversations.Question` says which.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from configs.brand import Brand
from configs.home import Home
from configs.json_lines import read_rows, rows_text
from configs.whole_file import replace_text

MIN_CASES_A_MEASURE = 30
"""Fewer cases of one measure (such as unanswerable questions) say nothing about it."""


def case_files(brand: Brand, home: Home) -> tuple[Path, ...]:
    """The files that there are, the brand's own first."""
    own = () if brand.questions is None or not brand.questions.is_file() else (brand.questions,)
    return (*own, *added_files(brand, home))


def added_files(brand: Brand, home: Home) -> tuple[Path, ...]:
    """Those of the state folder that there are."""
    named = (home.corrections(brand.name).questions, added_file(home, brand.name))
    return tuple(path for path in named if path.is_file())


def added_file(home: Home, brand: str) -> Path:
    """Where what people add is kept."""
    return home.questions / f"{brand}.jsonl"


def add_cases(home: Home, brand: str, cases: Collection[Mapping[str, Any]]) -> int:
    """Add questions but those whose id is there; when this returns they are on disk.

    Args:
        home: The state folder.
        brand: Whose.
        cases: Rows with an `id`. Where that names a turn or a conversation, `brandvoice forget` of who asked there
            takes the row out.

    Returns:
        How many were added.

    Raises:
        OSError: They cannot be written.
    """
    if not cases:
        return 0
    path = added_file(home, brand)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path) as file:
        there = {row.get("id") for row in read_rows(path)}
        fresh = [one for one in cases if one["id"] not in there]
        file.write(rows_text(fresh).encode())
        file.flush()
        os.fsync(file.fileno())
        return len(fresh)


def remove_case(path: Path, case: str) -> bool:
    """Take the question with this id out of a file; False where none has it.

    Raises:
        OSError: It cannot be written; the file stands as it was.
    """
    if not path.is_file():
        return False
    with _held(path) as file:
        rows = read_rows(path)
        kept = [row for row in rows if row.get("id") != case]
        if len(kept) == len(rows):
            return False
        if kept:
            replace_text(path, rows_text(kept), mode=os.fstat(file.fileno()).st_mode & 0o777)
        else:
            # An empty file of questions would be taken for a broken one.
            path.unlink()
        return True


@contextmanager
def _held(path: Path) -> Iterator[BinaryIO]:
    """The file, which nobody else changes meanwhile, to append to; made where there is none."""
    while True:
        # Customers' words may stand in it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Somebody may have put another file in its place (`forget` does) before it was ours.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return
