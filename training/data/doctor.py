"""The doctor: reads files of training data and says of each row whether it can be learnt from, and what is doubtful.

Nothing is dropped silently: each row is accepted or rejected, and each rejection and each doubt is named by file, line,
rule and reason. `docs/data.md` explains the rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retrieval.errors import BadLine
from retrieval.language import personal
from training.data import fairness, wording
from training.data.balance import balance, foreign, off_voice
from training.data.containers import read_values
from training.data.forms import NotARow, read_row
from training.data.repeats import contradictions, duplicates, overlaps
from training.data.rows import Finding, Form, Row, Rule, Turn
from training.errors import DataInvalid
from training.progress import Progress, Report, silent
from training.voice.model import VoiceScore

MAX_TOKENS = 2048
"""The context window that a deployment has by default (`engine.max_model_len`)."""
MAX_CHARS = 2**30
"""Of all rows together, which are held in memory to be compared."""
_TOKENS_PER_MESSAGE = 5
"""What a chat template adds to a message, at most."""


def about_tokens(text: str) -> int:
    """Length in tokens, estimated as prompts are: four characters a token."""
    return len(text) // 4 + 1


@dataclass(frozen=True, slots=True)
class Options:
    """How the data is looked at."""

    form: Form | None = None
    """Form of every row; told by its keys where absent."""
    language: str = "en"
    """BCP 47 tag of the brand's language."""
    max_tokens: int = MAX_TOKENS
    """Longest row that the model takes."""
    count_tokens: Callable[[str], int] = about_tokens
    evaluation: Sequence[str] = ()
    """Questions that training must not see."""
    contacts: frozenset[str] = frozenset()
    """Addresses and numbers of the brand's own, which are nobody's personal data (`personal.contacts`)."""
    voice: Callable[[str], VoiceScore] | None = None
    """Scores a reply by the brand's voice; where absent, replies are compared with each other only."""
    mask: bool = False
    """Hide personal data in the accepted rows."""


@dataclass(frozen=True, slots=True)
class File:
    """One file as it was read."""

    path: Path
    sha256: str
    size: int
    """Bytes."""
    rows: int


@dataclass(frozen=True, slots=True)
class Examined:
    """What the doctor found."""

    files: tuple[File, ...]
    accepted: tuple[Row, ...]
    """Masked where that was asked for."""
    rejected: tuple[Finding, ...]
    """One for each row that is not accepted."""
    warnings: tuple[Finding, ...]
    masked: int
    """Pieces of personal data that were hidden."""
    pii: int
    """Pieces of personal data that were found."""

    @property
    def rows(self) -> int:
        """All rows that were read."""
        return len(self.accepted) + len(self.rejected)

    def count(self, rule: Rule) -> int:
        """How many warnings a rule gave."""
        return sum(one.rule == rule for one in self.warnings)

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "rows": self.rows,
            "accepted": len(self.accepted),
            "rejected": [_as_json(one) for one in self.rejected],
            "warnings": [_as_json(one) for one in self.warnings],
            "masked": self.masked,
            "duplicates": self.count("duplicate"),
            "near_duplicates": self.count("near_duplicate"),
            "pii": self.pii,
        }


def examine(files: Sequence[Path], options: Options | None = None, progress: Progress = silent) -> Examined:
    """Look at files of training data.

    Args:
        files: Read in this order, as one set of data.
        options: How.
        progress: Told of files and stages.

    Raises:
        DataInvalid: A file cannot be read, holds no rows, or all together are too large to be held.
    """
    options = options or Options()
    read: list[Row] = []
    rejected: list[Finding] = []
    about: list[File] = []
    held = 0
    for number, path in enumerate(files):
        progress(Report(f"reading {path.name}", number, len(files)))
        before = len(read) + len(rejected)
        for one in read_rows(path, options.form):
            found = _too_long(one, options) if isinstance(one, Row) else one
            if found is None and isinstance(one, Row):
                read.append(one)
                held += sum(len(turn.content) for turn in one.turns)
                if held > MAX_CHARS:
                    raise DataInvalid([BadLine(path, one.line, "over a gigabyte of text so far; check parts of it")])
            elif found is not None:
                rejected.append(found)
        count = len(read) + len(rejected) - before
        if not count:
            raise DataInvalid([BadLine(path, 1, "the file is empty")])
        about.append(File(path, _sha256(path), path.stat().st_size, count))
    warnings, pieces = _doubts(read, options, progress)
    progress(Report("the data is examined", 1, 1))
    order = {path: place for place, path in enumerate(files)}
    return Examined(
        tuple(about),
        tuple(_masked(row, options) for row in read) if options.mask else tuple(read),
        tuple(rejected),
        tuple(sorted(warnings, key=lambda one: (order[one.file], one.line))),
        pieces if options.mask else 0,
        pieces,
    )


def read_rows(path: Path, form: Form | None = None) -> Iterator[Row | Finding]:
    """The rows of a file, and what is wrong with those that are none.

    Raises:
        DataInvalid: The file as a whole cannot be read.
    """
    for line in read_values(path):
        if isinstance(line, BadLine):
            if line.kind == "unreadable":
                raise DataInvalid([line])
            yield Finding(path, line.line, line.kind, line.reason)
            continue
        try:
            yield read_row(path, line, form)
        except NotARow as error:
            yield Finding(path, line.number, error.rule, str(error))


def _too_long(row: Row, options: Options) -> Finding | None:
    texts = [turn.content for turn in row.turns]
    if row.rejected is not None:
        # Of a pair, the longer reply counts.
        texts[-1] = max(texts[-1], row.rejected, key=len)
    # No token is shorter than a byte, so that most rows need not be counted.
    if sum(len(text.encode()) + _TOKENS_PER_MESSAGE for text in texts) <= options.max_tokens:
        return None
    tokens = sum(options.count_tokens(text) + _TOKENS_PER_MESSAGE for text in texts)
    if tokens <= options.max_tokens:
        return None
    return Finding(row.file, row.line, "too_long", f"{tokens} tokens, the model takes {options.max_tokens}")


def _doubts(rows: Sequence[Row], options: Options, progress: Progress) -> tuple[list[Finding], int]:
    """Warnings, and how many pieces of personal data there are."""
    warnings: list[Finding] = []
    pieces = 0
    how = wording.manner(rows)
    for number, row in enumerate(rows):
        if not number % 200:
            progress(Report("looking at each row", number, len(rows)))
        for said in (wording.cut(row, how), wording.placeholders(row), wording.language(row, options.language)):
            warnings.extend(Finding(row.file, row.line, rule, reason) for rule, reason in said)
        warnings.extend(Finding(row.file, row.line, rule, reason) for rule, reason in fairness.abuse(row))
        found = [one for turn in row.turns for one in _personal(turn, options)]
        pieces += len(found)
        if found:
            kinds = ", ".join(sorted({one.kind for one in found}))
            warnings.append(Finding(row.file, row.line, "pii", f"holds {len(found)} piece(s): {kinds}"))
    progress(Report("looking for rows that are alike", 0, 0))
    warnings.extend(duplicates(rows))
    warnings.extend(contradictions(rows))
    warnings.extend(fairness.unequal(rows))
    if options.evaluation:
        warnings.extend(overlaps(rows, options.evaluation))
    elsewhere = {(one.file, one.line) for one in warnings if one.rule == "language"}
    spoken = [row for row in rows if (row.file, row.line) not in elsewhere]
    strange = {(row.file, row.line): reason for row, reason in off_voice(spoken)}
    if options.voice is not None:
        # What the profile says is clearer; a tone that it does not know ("NOPE, WE ARE OUT!!!") the others tell.
        strange |= {(row.file, row.line): reason for row, reason in foreign(spoken, options.voice)}
    warnings.extend(Finding(file, line, "off_voice", reason) for (file, line), reason in strange.items())
    if rows:
        warnings.extend(Finding(rows[0].file, 0, rule, reason) for rule, reason in balance(rows))
    return warnings, pieces


def _personal(turn: Turn, options: Options) -> tuple[personal.Piece, ...]:
    return personal.find(turn.content, reply=turn.role == "assistant", known=options.contacts)


def _masked(row: Row, options: Options) -> Row:
    turns = tuple(replace(turn, content=personal.hide(turn.content, _personal(turn, options))) for turn in row.turns)
    if row.rejected is None:
        return replace(row, turns=turns)
    found = personal.find(row.rejected, reply=True, known=options.contacts)
    return replace(row, turns=turns, rejected=personal.hide(row.rejected, found))


def _as_json(one: Finding) -> dict[str, Any]:
    return {"file": str(one.file), "line": one.line, "rule": one.rule, "reason": one.reason}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
