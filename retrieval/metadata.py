"""What is known about a document besides its text: who may read it, from when to when, in which language.

It stands in YAML front matter at the top of a Markdown or text file, or beside any document in `<file>.meta.yaml`:

    ---
    audience: internal
    valid_until: 2027-01-31
    ---
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from configs.yaml_file import did_you_mean
from retrieval.errors import MetadataInvalid

Audience = Literal["public", "internal"]
FRONTED = frozenset({".md", ".markdown", ".txt"})
"""Files that may begin with front matter. Text too: who writes `audience: internal` there means it."""
SIDE_SUFFIX = ".meta.yaml"
MAX_BYTES = 10_000
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
_Source = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Of one document; everything may be absent."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    language: _Language | None = None
    """BCP 47 tag, such as `de` or `pt-BR`; a document without one is found in every language."""
    audience: Audience = "public"
    """`internal` documents never reach customers."""
    valid_from: date | None = None
    """First day on which it may answer, in UTC."""
    valid_until: date | None = None
    """Last day on which it may answer, in UTC."""
    source: _Source | None = None
    """Where the document comes from, such as an address."""

    def visible(self, *, audience: Audience, language: str | None, today: date) -> bool:
        """Whether a reader of this kind may find the document on this day; `internal` readers find all audiences."""
        return (
            (self.audience == "public" or audience == "internal")
            and (language is None or self.language is None or _same_language(self.language, language))
            and (self.valid_from is None or self.valid_from <= today)
            and (self.valid_until is None or today <= self.valid_until)
        )

    def said(self) -> dict[str, str]:
        """What was said, as JSON has it; empty where nothing was."""
        if self == PLAIN:
            return {}
        return {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in asdict(self).items()
            if value is not None and (name, value) != ("audience", "public")
        }

    @classmethod
    def from_said(cls, said: Mapping[str, Any]) -> Metadata:
        """What `said` gave; it was checked when it was read first."""
        days = {key: date.fromisoformat(said[key]) for key in ("valid_from", "valid_until") if key in said}
        return cls(**{**said, **days})


PLAIN = Metadata()
"""Of a document that says nothing about itself."""
_ADAPTER = TypeAdapter(Metadata)


def read_metadata(values: Any) -> Metadata:
    """Check values from YAML or JSON.

    Raises:
        MetadataInvalid: An unknown key or a bad value; the message names it.
    """
    if not isinstance(values, dict):
        raise MetadataInvalid("metadata must be `key: value` lines")
    known = tuple(field.name for field in fields(Metadata))
    for key in values:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"; known are {', '.join(known)}"
            raise MetadataInvalid(f"unknown metadata {str(key)!r}{hint}")
    try:
        metadata = _ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise MetadataInvalid(f"bad metadata {first['loc'][0]}: {first['msg']} (not {first['input']!r})") from error
    if metadata.valid_from and metadata.valid_until and metadata.valid_until < metadata.valid_from:
        raise MetadataInvalid(f"bad metadata: it ends ({metadata.valid_until}) before it begins")
    return metadata


def read_document_metadata(file: Path, text: str) -> tuple[Metadata, str]:
    """The metadata of a document, from beside it or from its top, and its text without front matter.

    Raises:
        MetadataInvalid: It cannot be used, or stands in both places.
    """
    inside, text = split_front_matter(text) if file.suffix.lower() in FRONTED else (None, text)
    beside = read_side_file(file)
    if inside is not None and beside is not None:
        raise MetadataInvalid(f"metadata at its top and in {side_file(file).name}; keep one of the two")
    return beside or inside or PLAIN, text


def split_front_matter(text: str) -> tuple[Metadata | None, str]:
    """Take the front matter off a text; None, and the text as it was, where there is none.

    Raises:
        MetadataInvalid: The block is there but cannot be used.
    """
    found = _FRONT.match(text)
    if found is None:
        return None, text
    values = _parse(found["yaml"])
    # Two rulers with prose between them are no front matter.
    if not isinstance(values, dict):
        return None, text
    return read_metadata(values), text[found.end() :]


def side_file(file: Path) -> Path:
    """Where the metadata of a document may stand: `prices.pdf.meta.yaml` beside `prices.pdf`."""
    return file.with_name(file.name + SIDE_SUFFIX)


def read_side_file(file: Path) -> Metadata | None:
    """The metadata beside a document; None where there is no such file.

    Raises:
        MetadataInvalid: It is there but cannot be used.
    """
    beside = side_file(file)
    try:
        with beside.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MetadataInvalid(f"{beside.name} cannot be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise MetadataInvalid(f"{beside.name} is larger than {MAX_BYTES // 1000} kB")
    try:
        return read_metadata(_parse(content.decode("utf-8")) or {})
    except (UnicodeDecodeError, MetadataInvalid) as error:
        raise MetadataInvalid(f"{beside.name}: {error}") from error


def _parse(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise MetadataInvalid(f"metadata that is not YAML ({getattr(error, 'problem', None) or error})") from error


def _same_language(one: str, other: str) -> bool:
    """`pt` matches `pt-BR`, and the other way round."""
    short, long = sorted((one.lower(), other.lower()), key=len)
    return long == short or long.startswith(short + "-")
