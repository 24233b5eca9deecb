"""Labelled messages, one JSON object a line: what an intent classifier is trained on and measured with.

    {"text": "where is my parcel", "intent": "order_status"}
    {"text": "tell me a joke", "intent": "oos", "out_of_scope": true}

Other keys are left alone. A file is read whole or not at all: every bad line is named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from retrieval.errors import BadLine, IntentsInvalid
from retrieval.json_lines import read_lines

MAX_CHARS = 4000
SHOWN = 20
"""Bad lines that are named one by one; the rest are counted."""


class _Row(BaseModel):
    """One line as it is written."""

    model_config = ConfigDict(strict=True, extra="ignore", str_strip_whitespace=True)

    text: str = Field(min_length=1, max_length=MAX_CHARS)
    intent: str = ""
    out_of_scope: bool = False

    @model_validator(mode="after")
    def _intent_is_named(self) -> _Row:
        if not self.out_of_scope and not self.intent:
            raise ValueError('an example names its "intent", or says "out_of_scope": true')
        return self


@dataclass(frozen=True, slots=True)
class Example:
    """A message and what it is about."""

    text: str
    intent: str | None
    """None where the message is about nothing that the classifier should know."""


def read_examples(path: Path) -> tuple[Example, ...]:
    """Read a file of examples, in the order of the file.

    Raises:
        IntentsInvalid: The file cannot be read, is empty, or holds bad lines.
    """
    wrong: list[BadLine] = []
    examples = [Example(row.text, None if row.out_of_scope else row.intent) for _, row in read_lines(path, _Row, wrong)]
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more lines"] if len(wrong) > SHOWN else []
        raise IntentsInvalid("\n".join([*map(str, wrong[:SHOWN]), *more]) + "; correct these lines")
    if not examples:
        raise IntentsInvalid(f'{path} holds no examples; write lines such as {{"text": "...", "intent": "..."}}')
    return tuple(examples)


def examples_sha256(examples: Iterable[Example]) -> str:
    """Digest over the parsed values."""
    digest = hashlib.sha256()
    for one in examples:
        digest.update(json.dumps([one.text, one.intent]).encode() + b"\n")
    return digest.hexdigest()
