"""Questions about our pydantic models: which keys are there below a given place."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from configs.yaml_file import Where


def models_at(model: type[BaseModel], where: Where) -> list[type[BaseModel]]:
    """The models that may stand at a place below `model`; empty where a plain value stands or nothing does."""
    return [one for one in _walk([model], where) if _is_model(one)]


def keys_at(model: type[BaseModel], where: Where) -> list[str]:
    """The keys that are known at a place."""
    return sorted({key for one in models_at(model, where) for key in one.model_fields})


def exists(model: type[BaseModel], where: Where) -> bool:
    """Whether a key or section can stand at this place."""
    return bool(_walk([model], where))


def fields(
    model: type[BaseModel], prefix: str = "", *, whole: tuple[type[BaseModel], ...] = ()
) -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf as (dotted name, field).

    Args:
        model: Where to begin.
        prefix: Put before each name.
        whole: Sections that count as leaves.

    Returns:
        Names in the order of the fields; `<name>` stands for a free key, `[]` for an item of a list.
    """
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{name}"
        below = [] if set(_options(field.annotation)) & set(whole) else list(_sections(field.annotation, dotted))
        if not below:
            yield dotted, field
        for path, section in below:
            yield from fields(section, f"{path}.", whole=whole)


def _sections(annotation: Any, dotted: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for one in _options(annotation):
        if _is_model(one):
            yield dotted, one
        elif get_origin(one) is dict:
            for path, section in _sections(get_args(one)[1], f"{dotted}.<name>"):
                yield path, section
        elif get_origin(one) is tuple:
            for path, section in _sections(get_args(one)[0], f"{dotted}[]"):
                yield path, section


def _walk(candidates: list[Any], where: Where) -> list[Any]:
    for step in where:
        candidates = [found for one in candidates for found in _step(one, step)]
    return candidates


def _step(annotation: Any, step: str | int) -> list[Any]:
    if _is_model(annotation):
        field = annotation.model_fields.get(str(step))
        if field is not None:
            return _options(field.annotation)
        # pydantic names the chosen member of a tagged union in the place of an error.
        return [annotation] if _is_tag(annotation, step) else []
    if get_origin(annotation) is dict:
        return _options(get_args(annotation)[1])
    if get_origin(annotation) is tuple and isinstance(step, int):
        return _options(get_args(annotation)[0])
    return []


def _options(annotation: Any) -> list[Any]:
    """An annotation without Annotated, None and unions."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [found for one in get_args(annotation) if one is not type(None) for found in _options(one)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_tag(model: type[BaseModel], step: str | int) -> bool:
    return any(
        get_origin(field.annotation) is Literal and step in get_args(field.annotation)
        for field in model.model_fields.values()
    )


def type_name(annotation: Any) -> str:
    """An annotation in an operator's words."""
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(type_name(one) for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is Literal:
        return " \\| ".join(f"`{one}`" for one in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {type_name(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping of " + " to ".join(type_name(one) for one in get_args(annotation))
    names: dict[Any, str] = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "`true` \\| `false`",
        Path: "path",
    }
    return names.get(annotation, str(getattr(annotation, "__name__", annotation)).lower())
