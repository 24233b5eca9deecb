"""Brands that people made in the browser: `brands/<name>.yaml` of the state folder, and a folder `<name>` beside it.

They are read beside those of the configuration, and differ in three things. One that is wrong is left out with the
reason, instead of keeping the gateway from starting. Their paths begin at the state folder and stay in the brand's own
folder, because whoever writes them in a browser is no operator. And they hold no YAML aliases, by which a short text
becomes an endless one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from configs.brand import Brand
from configs.brand_file import FILES, brand_of, check_apps, check_recipe, check_unique
from configs.checked import origins
from configs.errors import ConfigError
from configs.home import Home
from configs.service import ServiceConfig
from configs.yaml_file import YamlFile, parse_yaml, text_of

MOST_BYTES = 64 * 1024
"""Of a brand's file."""
DEEPEST = 20
"""Levels of its YAML."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was found."""

    brands: Mapping[str, Brand]
    origins: Mapping[str, str]
    left_out: Mapping[str, str]
    """Name to what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a made brand must fit to."""

    home: Home
    service: ServiceConfig
    settings: Path
    """The file of `service`."""
    configured: Mapping[str, Brand]
    """The brands of the configuration: they come first."""


def read_made(around: Around) -> Made:
    """All of them, by name; those that clash with one before them are left out."""
    found: dict[str, Brand] = {}
    origin: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for path in sorted(around.home.brands.glob("*.yaml")):
        try:
            file, brand = made_brand(text_of(path), path, around, found)
            text_of(brand.voice_guide)
        except ConfigError as error:
            left_out[path.stem] = str(error)
            continue
        found[brand.name] = brand
        own = origins(brand, (), file, {}, around.home.root)
        origin |= {f"brands.{brand.name}.{key}": place for key, place in own}
    return Made(found, origin, left_out)


def made_brand(text: str, path: Path, around: Around, others: Mapping[str, Brand]) -> tuple[YamlFile, Brand]:
    """What a text says, as the file at `path`.

    Args:
        text: YAML.
        path: Where it stands or is to stand.
        around: What it must fit to.
        others: The other made brands.

    Raises:
        ConfigError: With the line, the reason, and what to do.
    """
    _check_plain(text, path)
    file = parse_yaml(text, path)
    brand = brand_of(file, around.home.root)
    if brand.name in around.configured:
        raise ConfigError(f"{path}: the configuration has a brand {brand.name!r}; rename this file and the brand in it")
    _check_paths(file, brand, around.home.brands / brand.name)
    check_unique(
        brand, (*around.configured.values(), *(one for one in others.values() if one.name != brand.name)), path
    )
    check_apps(brand, around.service, path, around.settings)
    check_recipe(brand, path, around.settings.parent / "training")
    return file, brand


def _check_plain(text: str, path: Path) -> None:
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise ConfigError(f"{path} has more than {MOST_BYTES // 1024} kB; shorten it")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent):
                raise ConfigError(f"{path}:{line} uses the alias *{event.anchor}; write out what it stands for")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ConfigError(f"{path}:{line} is more than {DEEPEST} levels deep; flatten it")
    except yaml.YAMLError:
        # `parse_yaml` says what is wrong.
        return


def _check_paths(file: YamlFile, brand: Brand, folder: Path) -> None:
    for name in FILES:
        path = getattr(brand, name)
        if path is not None and not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"{file.path}:{file.line((name,))}: {name} lies outside the brand's own folder; write "
                f"brands/{brand.name}/ and the name of what lies there"
            )
