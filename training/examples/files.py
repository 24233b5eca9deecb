"""Files of examples and probes, JSON lines, so that they can be carried to a machine that only trains."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from configs.json_lines import read_rows
from retrieval.errors import BadLine
from retrieval.passages import Passage
from retrieval.prompt import Message
from training.errors import DataInvalid
from training.examples.rendering import Built, Example, Probe


def write_examples(path: Path, built: Built, *, data_sha256: str) -> None:
    """Write a file that `read_examples` reads: a line about the whole, then a line an example."""
    head = {"data_sha256": data_sha256, "knowledge_version": built.knowledge_version, "report": asdict(built.report)}
    lines = [json.dumps(head), *(json.dumps(asdict(example), ensure_ascii=False) for example in built.examples)]
    write_lines(path, lines)


def read_examples(path: Path) -> tuple[tuple[Example, ...], str, str]:
    """Read a file of examples.

    Returns:
        Examples in order, the digest of the conversations they were made of, and the knowledge version.

    Raises:
        DataInvalid: Not such a file; the first bad line is named.
    """
    try:
        # Not `splitlines`: a text may hold another separator, such as U+2028, which JSON need not escape.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        head = json.loads(lines[0])
        digest, version = str(head["data_sha256"]), str(head["knowledge_version"])
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise DataInvalid(
            [BadLine(path, 1, f"no file of examples ({error!r}); make it with `python -m training.examples`")]
        ) from error
    examples = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            row = json.loads(line)
            messages = tuple(Message(**message) for message in row.pop("messages"))
            row["passages"] = tuple(row["passages"])
            examples.append(Example(messages=messages, **row))
        except (ValueError, KeyError, TypeError) as error:
            raise DataInvalid([BadLine(path, number, f"no example ({error!r}); make the file again")]) from error
    return tuple(examples), digest, version


def write_probes(path: Path, probes: Iterable[Probe]) -> None:
    """Write a line a probe."""
    write_lines(path, [json.dumps(asdict(probe), ensure_ascii=False) for probe in probes])


def read_probes(path: Path) -> tuple[Probe, ...]:
    """Read what `write_probes` wrote."""
    probes = []
    for row in read_rows(path):
        for key in ("messages", "guided"):
            row[key] = tuple(Message(**message) for message in row[key])
        row["passages"] = tuple(Passage(**passage) for passage in row["passages"])
        row["answer_contains"] = tuple(row["answer_contains"])
        probes.append(Probe(**row))
    return tuple(probes)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """All of the file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
