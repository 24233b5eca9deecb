"""Values of a file against a model: what is wrong is told with file and line, and each value has an origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from configs.errors import ConfigError
from configs.schema import keys_at
from configs.yaml_file import Where, YamlFile, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], values: Mapping[str, Any], file: YamlFile, variables: Mapping[Where, str]) -> Model:
    """The values as a model.

    Args:
        model: What they must be.
        values: As read.
        file: Where they stand.
        variables: Environment variables that gave some of them, by place.

    Raises:
        ConfigError: All that is wrong, a line each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        reasons = [_reason(model, one["loc"], one["type"], one["msg"], file, variables) for one in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(reasons))) from error


def _reason(
    model: type[BaseModel], where: Where, kind: str, message: str, file: YamlFile, variables: Mapping[Where, str]
) -> str:
    place = variables.get(where) or f"{file.path}:{file.line(_in_file(where, file))}"
    dotted = ".".join(str(step) for step in where) or "the file"
    if kind == "extra_forbidden":
        known = keys_at(model, where[:-1])
        hint = did_you_mean(str(where[-1]), known) or f"; known are {', '.join(known)}"
        return f"{place}: {dotted} is not a known key{hint}"
    if kind == "missing":
        return f"{place}: {dotted} is missing; add it (docs/configuration.md says what it means)"
    return f"{place}: {dotted}: {message.removeprefix('Value error, ')}; correct it"


def _in_file(where: Where, file: YamlFile) -> Where:
    """A place as the file has it, without the tags that pydantic puts in for members of a union."""
    found: Where = ()
    for step in where:
        if (*found, step) in file.lines:
            found = (*found, step)
    return found


def origins(
    model: BaseModel, where: Where, file: YamlFile, variables: Mapping[Where, str], root: Path
) -> Iterator[tuple[str, str]]:
    """Each value's dotted name with where it came from: `FILE:LINE` below `root`, a variable, or `default`."""
    shown = file.path.relative_to(root) if file.path.is_relative_to(root) else file.path
    for dotted, place in leaves(model, where):
        if place in variables:
            yield dotted, variables[place]
        elif place in file.lines:
            yield dotted, f"{shown}:{file.lines[place]}"
        else:
            yield dotted, "default"


def leaves(value: BaseModel, where: Where) -> Iterator[tuple[str, Where]]:
    """Each value's dotted name and place."""
    for name in type(value).model_fields:
        yield from _leaf(getattr(value, name), (*where, name))


def _leaf(value: Any, where: Where) -> Iterator[tuple[str, Where]]:
    if isinstance(value, BaseModel):
        yield from leaves(value, where)
    elif isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaf(below, (*where, key))
    else:
        yield ".".join(str(step) for step in where), where
