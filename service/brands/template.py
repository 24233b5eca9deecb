"""Templates of brands: pages, voice guide, conversations, rules, questions with blanks, and the form that fills them.

A blank is `{{field}}`. What fills it is plain text on one line; YAML and JSON are filled value by value, so that no
answer can end a string.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from configs.brand import Strict
from configs.json_lines import read_rows, rows_text
from configs.yaml_file import read_yaml
from service.errors import NotFound, RequestInvalid

FOLDER = Path(__file__).parent / "templates"
MOST_CHARS = 120
_BLANK = re.compile(r"\{\{(\w+)\}\}")


class Blank(Strict):
    """One field of the form."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: str
    given: str = Field(default="", description="What stands in the field at first; where empty, it must be filled.")
    hint: str = ""
    matches: str | None = Field(
        default=None, description="A pattern that the whole answer matches, such as of a number."
    )


class About(Strict):
    """What a template says of itself: `template.yaml`."""

    title: str
    about: str
    blanks: tuple[Blank, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """One template."""

    name: str
    about: About
    folder: Path

    @property
    def pages(self) -> int:
        """How many help pages it has."""
        return sum(1 for _ in (self.folder / "pages").glob("*.md"))

    @property
    def conversations(self) -> int:
        """How many conversations it has."""
        return len((self.folder / "conversations.jsonl").read_text("utf-8").splitlines())


@cache
def templates() -> Mapping[str, Template]:
    """All that ship, by name."""
    folders = sorted(path.parent for path in FOLDER.glob("*/template.yaml"))
    found = {one.name: About.model_validate(read_yaml(one / "template.yaml").values) for one in folders}
    return {name: Template(name, about, FOLDER / name) for name, about in found.items()}


def template(name: str) -> Template:
    """The one of this name.

    Raises:
        NotFound: There is none.
    """
    found = templates().get(name)
    if found is None:
        raise NotFound(f"There is no template {name!r}; there are {', '.join(templates())}.")
    return found


def answers_to(about: About, given: Mapping[str, str]) -> dict[str, str]:
    """The answers of the form, each on one line; a field that was left alone has what stood in it.

    Raises:
        RequestInvalid: One is missing, too long, or not of its form.
    """
    found: dict[str, str] = {}
    for blank in about.blanks:
        text = " ".join(_plain(given.get(blank.name, blank.given)).split())
        if not text:
            raise RequestInvalid(f"{blank.label}: this is empty. Fill it in.", param=blank.name)
        if len(text) > MOST_CHARS:
            raise RequestInvalid(f"{blank.label}: at most {MOST_CHARS} characters.", param=blank.name)
        if blank.matches and not re.fullmatch(blank.matches, text):
            raise RequestInvalid(
                f"{blank.label}: {text!r} is not of this form; write it like {blank.given}.", param=blank.name
            )
        found[blank.name] = text
    return found


def filled(one: Template, answers: Mapping[str, str]) -> dict[str, str]:
    """The brand's files below its folder, by name; `brand.yaml` is its settings without what only the maker knows.

    Args:
        one: The template.
        answers: As `answers_to` gives them.
    """
    files: dict[str, str] = {}
    for path in sorted(one.folder.rglob("*")):
        name = path.relative_to(one.folder).as_posix()
        if path.suffix == ".md":
            files[name] = _fill(path.read_text("utf-8"), answers)
        elif path.suffix == ".jsonl":
            files[name] = rows_text(_filled(row, answers) for row in read_rows(path))
    return files


def settings_of(one: Template, answers: Mapping[str, str]) -> dict[str, Any]:
    """The settings of `brand.yaml`, filled."""
    values: dict[str, Any] = _filled(yaml.safe_load((one.folder / "brand.yaml").read_text("utf-8")), answers)
    return values


def _filled(value: Any, answers: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _fill(value, answers)
    if isinstance(value, dict):
        return {key: _filled(one, answers) for key, one in value.items()}
    return [_filled(one, answers) for one in value] if isinstance(value, list) else value


def _fill(text: str, answers: Mapping[str, str]) -> str:
    return _BLANK.sub(lambda found: answers[found[1]], text)


def _plain(text: str) -> str:
    """Without what cannot be stored or shown."""
    return "".join(
        " " if c in "\r\n\t" else c for c in text if c in "\r\n\t" or unicodedata.category(c) not in ("Cc", "Cs")
    )
