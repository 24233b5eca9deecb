"""Small files of JSON lines: held-out questions, conversations, corrections."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; empty lines are none.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no UTF-8, or a line is no JSON.
    """
    # Not `splitlines`: a text may hold another separator, such as U+2028, and JSON need not escape it.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]


def rows_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """What a file of these rows holds."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
