"""The two files of a run: rows that passed, and beside them those that did not, each with its reason.

A line is written as soon as it is known, so that a stop at any moment loses nothing but the request in flight.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import AwareDatetime

from configs.brand import Strict
from retrieval.errors import BadLine
from retrieval.json_lines import read_lines
from training.conversations import Conversation
from training.errors import DataInvalid, TrainingFailed
from training.examples.files import write_lines
from training.synthetic.prompts import Kind


class Rejected(Strict):
    """An example that a check refused."""

    id: str
    kind: Kind
    rule: str
    reason: str
    question: str
    reply: str
    text: str = ""
    """What the model wrote, where neither question nor reply could be read from it."""
    model: str
    prompt: str
    seed: int
    made_at: AwareDatetime
    document: str
    passage: str


def rejected_file(path: Path) -> Path:
    """Where what was refused lies: `chats.jsonl` has `chats.rejected.jsonl` beside it."""
    return path.with_name(f"{path.stem}.rejected.jsonl")


def read_rows(path: Path) -> tuple[Conversation, ...]:
    """The rows of a file, decided or not; none where there is no file.

    Raises:
        DataInvalid: A line is broken, or repeats an id.
    """
    bad: list[BadLine] = []
    rows: dict[str, Conversation] = {}
    for number, row in read_lines(path, Conversation, bad) if path.exists() else ():
        if row.id in rows:
            bad.append(BadLine(path, number, f"the id {row.id!r} stands in an earlier line already"))
        rows[row.id] = row
    if bad:
        raise DataInvalid(bad)
    return tuple(rows.values())


def read_rejected(path: Path) -> tuple[tuple[int, Rejected], ...]:
    """What was refused beside a file of rows, with the line of each.

    Raises:
        DataInvalid: A line is broken.
    """
    bad: list[BadLine] = []
    beside = rejected_file(path)
    rows = tuple(read_lines(beside, Rejected, bad)) if beside.exists() else ()
    if bad:
        raise DataInvalid(bad)
    return rows


def write_rows(path: Path, rows: Sequence[Conversation]) -> None:
    """All of the file or nothing."""
    write_lines(path, [line_of(row) for row in rows])


def line_of(row: Conversation | Rejected) -> str:
    """One row as JSON, without what is absent."""
    return json.dumps(row.model_dump(mode="json", exclude_none=True), ensure_ascii=False)


class Journal:
    """Both files, open to be added to."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._good = whole(path).open("a", encoding="utf-8")
        self._bad = whole(rejected_file(path)).open("a", encoding="utf-8")

    def add(self, row: Conversation | Rejected) -> None:
        """Write a line, at once."""
        file = self._bad if isinstance(row, Rejected) else self._good
        file.write(f"{line_of(row)}\n")
        file.flush()

    def close(self) -> None:
        """Nothing more is added."""
        self._good.close()
        self._bad.close()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One command at a time writes a file.

    Raises:
        TrainingFailed: Another one does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingFailed(f"another command is writing {path}; wait for its end") from error
        yield


def whole(path: Path) -> Path:
    """A file without the half line that a killed run may have left."""
    if path.exists():
        with path.open("rb+") as file:
            held = file.read()
            file.truncate(held.rfind(b"\n") + 1)
    return path
