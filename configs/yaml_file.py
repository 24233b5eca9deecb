"""YAML with the line of every key, so that an error can say where."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.errors import ConfigError

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A parsed file whose top is a mapping."""

    path: Path
    values: dict[str, Any]
    lines: Mapping[Where, int]
    """Line of each key, from 1."""

    def line(self, where: Where) -> int:
        """Line of a key, or of the nearest one around it."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.lines:
                return self.lines[where[:end]]
        return 1


def read_yaml(path: Path) -> YamlFile:
    """Read a file.

    Raises:
        ConfigError: Missing, unreadable, not YAML, no mapping, or a key that stands there twice.
    """
    return parse_yaml(text_of(path), path)


def text_of(path: Path) -> str:
    """What stands in a file.

    Raises:
        ConfigError: Missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}{_near_file(path)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check its rights") from error


def parse_yaml(text: str, path: Path) -> YamlFile:
    """A text as the file at `path`.

    Raises:
        ConfigError: Not YAML, no mapping, or a key that stands there twice.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{path}{line} is not YAML: {reason}; correct that line") from error
    if node is None:
        return YamlFile(path, {}, {})
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path} does not hold `key: value` lines at its top; see docs/configuration.md")
    return YamlFile(path, values, dict(_lines(node, (), path)))


def did_you_mean(name: str, known: Iterator[str] | list[str] | tuple[str, ...], *, form: str = "{}") -> str:
    """`; did you mean '…'?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.55)
    return f"; did you mean {form.format(near[0])!r}?" if near else ""


def _lines(node: yaml.Node, where: Where, path: Path) -> Iterator[tuple[Where, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{path}:{line} sets {key.value!r} a second time; keep one of the two")
            seen.add(key.value)
            yield (*where, key.value), line
            yield from _lines(value, (*where, key.value), path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*where, index), item.start_mark.line + 1
            yield from _lines(item, (*where, index), path)


def _near_file(path: Path) -> str:
    there = [one.name for one in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    if not there and not path.parent.is_dir():
        return f"; the folder {path.parent} is missing too: set BRANDVOICE_CONFIGS to the folder of configs"
    return did_you_mean(path.name, there) or "; set BRANDVOICE_CONFIGS to the folder that holds it, or write it"
