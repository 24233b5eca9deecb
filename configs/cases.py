"""What a new adapter is judged by: a brand's held-out questions, and those that people added since.

A deployment's YAML names the first file, which nobody writes into while it runs. Accepted corrections are a second one,
written whole. What people add in the inbox goes to `questions/<brand>.jsonl` of the state folder. All have the same
form; `training.conversations.Question` says which.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.brand import Brand
from configs.home import Home


def case_files(brand: Brand, home: Home) -> tuple[Path, ...]:
    """The files that there are, the brand's own first."""
    own = () if brand.questions is None or not brand.questions.is_file() else (brand.questions,)
    return (*own, *added_files(brand, home))


def added_files(brand: Brand, home: Home) -> tuple[Path, ...]:
    """Those of the state folder that there are."""
    named = (home.corrections(brand.name).questions, added_file(home, brand.name))
    return tuple(path for path in named if path.is_file())


def added_file(home: Home, brand: str) -> Path:
    """Where what people add in the inbox is kept."""
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
    while True:
        # Customers' words may stand in it.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Somebody may have put another file in its place (`forget` does) before it was ours.
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                continue
            if any(json.loads(row).get("id") == case["id"] for row in file if row.strip()):
                return
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            return
