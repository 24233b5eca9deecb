"""Conversations that a brand's voice is trained on, edited one by one: a file as `training.conversations` reads it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from configs.json_lines import read_rows, rows_text
from configs.whole_file import replace_text
from service.errors import NotFound, NotPossible, RequestInvalid
from service.storage.database import storable

Outcome = Literal["answered", "refused", "handed_off", "small_talk"]
MOST = 5000


class Exchange(BaseModel):
    """What a customer writes, and what the brand replies."""

    said: str = Field(max_length=4000)
    reply: str = Field(max_length=4000)
    outcome: Outcome = "answered"
    documents: list[str] = Field(default=[], max_length=10, description="Pages that the reply rests on.")

    @model_validator(mode="after")
    def _an_answer_rests_on_pages(self) -> Exchange:
        if not self.said.strip() or not self.reply.strip():
            raise ValueError("What is said and the reply must both be written.")
        if (self.outcome == "answered") != bool(self.documents):
            raise ValueError("A reply that answers names the pages that it rests on; any other names none.")
        return self


class Example(BaseModel):
    """One conversation."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(default="", max_length=80)
    topic: str = Field(default="general", min_length=1, max_length=80)
    exchanges: list[Exchange] = Field(min_length=1, max_length=20)


def read(path: Path) -> list[Example]:
    """All of a file.

    Raises:
        NotPossible: It holds what this editor cannot show; the message names the line.
    """
    found = []
    for number, row in enumerate(_rows(path), 1):
        try:
            found.append(_example(row))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise NotPossible(f"Line {number} of {path.name} cannot be read: {error}") from error
    return found


def write(path: Path, wanted: Example) -> Example:
    """Put in a new one (without an id), or change the one of its id.

    Raises:
        NotFound: None has this id.
        RequestInvalid: There are too many.
    """
    rows = _rows(path)
    if not wanted.id:
        if len(rows) >= MOST:
            raise RequestInvalid(f"There are {MOST} conversations; more are kept as a file, see docs/data.md.")
        wanted = wanted.model_copy(update={"id": f"console-{secrets.token_hex(6)}"})
        rows.append(_row(wanted, {}))
    else:
        at = _place(rows, wanted.id)
        rows[at] = _row(wanted, rows[at])
    _write(path, rows)
    return wanted


def remove(path: Path, example: str) -> None:
    """Take one out.

    Raises:
        NotFound: None has this id.
    """
    rows = _rows(path)
    del rows[_place(rows, example)]
    _write(path, rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return read_rows(path) if path.is_file() else []
    except ValueError as error:
        raise NotPossible(f"{path.name} cannot be read: {error}") from error


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    replace_text(path, rows_text(rows))


def _place(rows: list[dict[str, Any]], example: str) -> int:
    for at, row in enumerate(rows):
        if row.get("id") == example:
            return at
    raise NotFound(f"There is no conversation {example!r}.")


def _example(row: dict[str, Any]) -> Example:
    messages = row["messages"]
    pairs = [(messages[at], messages[at + 1]) for at in range(0, len(messages), 2)]
    exchanges = [
        Exchange.model_construct(
            said=said["content"], reply=reply["content"], outcome=reply["outcome"], documents=reply.get("documents", [])
        )
        for said, reply in pairs
    ]
    return Example.model_construct(id=row["id"], topic=row["topic"], exchanges=exchanges)


def _row(one: Example, before: dict[str, Any]) -> dict[str, Any]:
    """As training reads it; what this editor does not know of stays."""
    messages: list[dict[str, Any]] = []
    for exchange in one.exchanges:
        messages.append({"role": "user", "content": storable(exchange.said).strip()})
        reply = {"role": "assistant", "content": storable(exchange.reply).strip(), "outcome": exchange.outcome}
        messages.append(
            reply | ({"documents": [storable(name) for name in exchange.documents]} if exchange.documents else {})
        )
    return {**before, "id": one.id, "topic": storable(one.topic), "messages": messages}
