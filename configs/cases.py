"""What a new adapter is judged by: a brand's held-out questions, and those that people added since.

A deployment's YAML names the first file, which nobody writes into while it runs; a brand that the console made has its
own in the state folder. Accepted corrections are a second one, written whole. What people write in the console goes to
`questions/<brand>.jsonl` of the state folder. All have the same form; `training.conversations.Question` says which.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import Any

from configs.brand import Brand
from configs.home import Home
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


def add_case(home: Home, brand: str, case: Mapping[str, Any]) -> None:
    """Add one question, unless one with its id is there; when this returns it is on disk.

    Args:
        home: The state folder.
        brand: Whose.
        case: A row with an `id`. Where that names a turn or a conversation, `brandvoice forget` of who asked there
            takes the row out.

    Raises:
        OSError: It cannot be written.
    """
    path = added_file(home, brand)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(dict(case), ensure_ascii=False).encode() + b"\n"
    with _held(path) as file:
        if any(row.get("id") == case["id"] for row in _rows(file)):
            return
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def remove_case(path: Path, case: str) -> bool:
    """Take the question with this id out of a file; False where none has it.

    Raises:
        OSError: It cannot be written; the file stands as it was.
    """
    if not path.is_file():
        return False
    with _held(path) as file:
        rows = _rows(file)
        kept = [row for row in rows if row.get("id") != case]
        if len(kept) == len(rows):
            return False
        if not kept:
            # An empty file of questions would be taken for a broken one.
            path.unlink()
            return True
        replace_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
        # As before: customers' words may stand in it.
        path.chmod(os.fstat(file.fileno()).st_mode & 0o777)
        return True


@contextmanager
def _held(path: Path) -> Iterator[BufferedRandom]:
    """The file, which nobody else changes meanwhile; made where there is none."""
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Somebody may have put another file in its place (`forget` does) before it was ours.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def _rows(file: BufferedRandom) -> list[dict[str, Any]]:
    return [json.loads(row) for row in file if row.strip()]
