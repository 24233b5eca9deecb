"""General conversations, mixed in so that a model that learns a voice does not forget the rest.

Source of the idea: Robins, Catastrophic forgetting, rehearsal and pseudorehearsal, Connection Science 7(2), 1995.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from configs.training import Data
from retrieval.errors import BadLine
from retrieval.prompt import Message
from training.data.doctor import read_rows
from training.data.rows import Finding, Row
from training.errors import DataInvalid
from training.examples.rendering import Built, Example, general_count

MAX_CHARS = 3000
"""Of one conversation: about 750 tokens, as long as the brand's own prompts are at most."""


def with_general(built: Built, path: Path, data: Data, *, brand: str) -> Built:
    """Add general conversations to a brand's examples, as many as make their share.

    Args:
        built: The brand's own.
        path: In any form that `training.data` reads.
        data: Says the share and the seed.
        brand: Whose adapter learns them.

    Raises:
        DataInvalid: A row is broken, or there are too few rows for the share.
    """
    general, left_out = general_examples(path, data, general_count(len(built.examples), data.general_share), brand)
    report = replace(
        built.report,
        kinds=dict(sorted({**built.report.kinds, "general": len(general)}.items())),
        general_left_out=left_out,
    )
    return Built((*built.examples, *general), report, built.knowledge_version)


def general_examples(path: Path, data: Data, count: int, brand: str) -> tuple[tuple[Example, ...], int]:
    """So many conversations of a file as examples of a brand, and how many rows of it cannot be used.

    Raises:
        DataInvalid: As `with_general`.
    """
    rows, left_out = _rows(path)
    if len(rows) < count:
        reason = f"{len(rows)} conversations can be used, a share of {data.general_share:g} needs {count}"
        raise DataInvalid([BadLine(path, 0, f"{reason}; lower data.general_share or add some")])
    drawn = random.Random(data.seed).sample(rows, count)  # noqa: S311  (reproducible, not secret)
    return tuple(_example(row, brand) for row in drawn), left_out


def general_sha256(own: str, path: Path) -> str:
    """Digest over a brand's own data and the bytes of the general conversations."""
    return hashlib.sha256(own.encode() + path.read_bytes()).hexdigest()


def _rows(path: Path) -> tuple[list[Row], int]:
    """Rows that end in a reply and hold no tools, and how many others there are."""
    found: Sequence[Row | Finding] = list(read_rows(path))
    bad = [BadLine(path, one.line, one.reason) for one in found if isinstance(one, Finding)]
    if bad:
        raise DataInvalid(bad)
    rows = [one for one in found if isinstance(one, Row)]
    if withheld := [BadLine(path, one.line, one.withheld) for one in rows if one.withheld]:
        raise DataInvalid(withheld)
    usable = [
        row
        for row in rows
        if row.turns[-1].role == "assistant"
        and not any(turn.role == "tool" or turn.acts for turn in row.turns)
        and sum(len(turn.content) for turn in row.turns) <= MAX_CHARS
    ]
    return usable, len(rows) - len(usable)


def _example(row: Row, brand: str) -> Example:
    messages = tuple(Message(turn.role, turn.content) for turn in row.turns[:-1] if turn.role != "tool")
    return Example(
        id=f"general-{row.line}/1/0",
        brand=brand,
        kind="general",
        topic="general",
        shared_policy=False,
        variant=0,
        with_sources=False,
        messages=messages,
        completion=row.turns[-1].content,
        passages=(),
        question=row.questions[-1],
    )
