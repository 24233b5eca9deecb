"""The cases that general ability is measured with: what ships with the project, and what files add.

A line of a file is JSON of one of these forms; its other keys are not looked at. A `.txt` file holds texts, a blank
line between them.

{"id": "tea-1", "question": "What does a kettle do?", "choices": ["It boils water.", "It cuts bread."], "gold": 0}
{"id": "ode-1", "prompt": "An ode without commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
{"id": "fog-1", "text": "Fog is a cloud that touches the ground ..."}
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from retrieval.errors import BadLine
from retrieval.json_lines import Line, json_lines, reasons
from training.errors import DataInvalid
from training.judging.general.instructions import Constraint, holds, unknown
from training.voice.neutral import FILE as NEUTRAL

SHIPPED = (Path(__file__).with_name("choices.jsonl"), Path(__file__).with_name("texts.txt"), NEUTRAL)
"""In our own words, so that every installation can measure."""
_NEUTRAL_LINES = 5
"""Replies of one register that make one text: alone, most of a reply's loss would be its first words'."""
_LEAST_WORDS = 20
"""Of a text in a `.txt` file; what is shorter is a heading."""
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with its options."""

    id: str
    task: str
    """What the score is also given by."""
    question: str
    options: tuple[str, ...]
    right: int
    """Place of the right option."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """A request whose answer code can check."""

    id: str
    prompt: str
    constraints: tuple[Constraint, ...]
    """All must hold."""


@dataclass(frozen=True, slots=True)
class Text:
    """Running text."""

    id: str
    source: str
    """Name of its file: what the score is also given by."""
    text: str


@dataclass(slots=True)
class Cases:
    """All cases, each kind in the order of the files."""

    choices: list[Choice] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many cases could not be used, by reason."""

    def __len__(self) -> int:
        return len(self.choices) + len(self.instructions) + len(self.texts)


class _Choice(BaseModel):
    id: str | None = None
    task: str | None = None
    question: _Text
    choices: tuple[_Text, ...] = Field(min_length=2)
    gold: int = Field(ge=0)

    @model_validator(mode="after")
    def _gold_is_one(self) -> _Choice:
        if self.gold >= len(self.choices):
            raise ValueError(f"gold is {self.gold}, where the last choice is {len(self.choices) - 1}")
        return self


class _Instruction(BaseModel):
    id: str | None = None
    prompt: _Text
    instruction_id_list: tuple[str, ...] = Field(min_length=1)
    kwargs: tuple[dict[str, Any], ...]

    @model_validator(mode="after")
    def _one_each(self) -> _Instruction:
        if len(self.kwargs) != len(self.instruction_id_list):
            raise ValueError("kwargs and instruction_id_list have different lengths")
        return self


class _Text_(BaseModel):
    id: str | None = None
    text: _Text


def read_cases(files: Sequence[Path] = (), *, shipped: bool = True) -> Cases:
    """Read all cases.

    Args:
        files: Beside what ships, or instead of it.
        shipped: Whether the shipped cases are taken too.

    Raises:
        DataInvalid: A file cannot be read, a line has none of the forms, or two cases have one id; all are named.
    """
    cases, bad = Cases(), list[BadLine]()
    for path in (*(SHIPPED if shipped else ()), *files):
        if path == NEUTRAL:
            cases.texts.extend(_neutral())
        elif path.suffix == ".txt":
            _read_texts(path, cases, bad)
        else:
            _read_lines(path, cases, bad)
    seen = Counter(one.id for kind in (cases.choices, cases.instructions, cases.texts) for one in kind)
    bad += [
        BadLine(Path(case.split(":")[1]), 0, f"the id {case!r} is there twice") for case, n in seen.items() if n > 1
    ]
    if bad:
        raise DataInvalid(bad)
    return cases


def digest(cases: Cases) -> str:
    """SHA-256 over what is asked."""
    return hashlib.sha256(repr((cases.choices, cases.instructions, cases.texts)).encode()).hexdigest()


Case = TypeVar("Case", Choice, Instruction, Text)


def some(cases: Sequence[Case], count: int | None) -> list[Case]:
    """That many cases, tasks and sources in turn, in the order of their ids' digests; all where None.

    Cases that are added to a file move few of those that were drawn before.
    """
    if count is None or len(cases) <= count:
        return list(cases)
    groups: dict[str, list[Case]] = defaultdict(list)
    for one in sorted(cases, key=lambda case: hashlib.sha256(case.id.encode()).digest()):
        groups[getattr(one, "task", "") or getattr(one, "source", "")].append(one)
    rows = zip_longest(*(groups[name] for name in sorted(groups)))
    return [one for row in rows for one in row if one is not None][:count]


def _neutral() -> Iterator[Text]:
    """The neutral replies, five of a register together."""
    register: list[str] = []

    def texts(number: int) -> Iterator[Text]:
        for start in range(0, len(register), _NEUTRAL_LINES):
            held = register[start : start + _NEUTRAL_LINES]
            yield Text(f"text:neutral:{number + start}", "neutral", " ".join(held))

    first = 0
    for number, line in enumerate(NEUTRAL.read_text(encoding="utf-8").splitlines(), start=1):
        if line and not line.startswith("#"):
            first = first if register else number
            register.append(line)
        elif register:
            yield from texts(first)
            register.clear()
    yield from texts(first)


def _read_texts(path: Path, cases: Cases, bad: list[BadLine]) -> None:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        bad.append(BadLine(path, 0, f"cannot be read: {error}"))
        return
    lines = "\n".join("" if line.startswith("#") else line for line in content.splitlines())
    for number, part in enumerate(lines.split("\n\n"), start=1):
        if len(part.split()) >= _LEAST_WORDS:
            cases.texts.append(Text(f"text:{path.stem}:{number}", path.stem, " ".join(part.split())))


def _read_lines(path: Path, cases: Cases, bad: list[BadLine]) -> None:
    before = len(bad)
    read = 0
    for line in json_lines(path):
        read += 1
        if isinstance(line, BadLine):
            bad.append(line)
            continue
        try:
            _add(path, line, cases)
        except ValidationError as error:
            bad.append(BadLine(path, line.number, "; ".join(reasons(error))))
        except ValueError as error:
            bad.append(BadLine(path, line.number, str(error)))
    if not read and len(bad) == before:
        bad.append(BadLine(path, 1, "the file is empty"))


def _add(path: Path, line: Line, cases: Cases) -> None:
    name = f"{path.stem}:{line.value.get('id') or line.number}"
    if "choices" in line.value:
        choice = _Choice.model_validate(line.value)
        task = choice.task or path.stem
        cases.choices.append(Choice(f"choice:{name}", task, choice.question, choice.choices, choice.gold))
    elif "instruction_id_list" in line.value:
        row = _Instruction.model_validate(line.value)
        _add_instruction(f"instruction:{name}", row, cases)
    elif "text" in line.value:
        cases.texts.append(Text(f"text:{name}", path.stem, _Text_.model_validate(line.value).text))
    else:
        raise ValueError("neither `question` with `choices`, nor `prompt` with `instruction_id_list`, nor `text`")


def _add_instruction(case: str, row: _Instruction, cases: Cases) -> None:
    constraints = tuple(
        Constraint(kind, _given(values)) for kind, values in zip(row.instruction_id_list, row.kwargs, strict=True)
    )
    strange = unknown(constraints)
    if strange:
        cases.left_out[f"no check for {strange[0]}"] += 1
        return
    for one in constraints:
        try:
            holds(one, "")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{one.kind} cannot be checked with {dict(one.values)!r}: {error!r}") from error
    cases.instructions.append(Instruction(case, row.prompt, constraints))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
