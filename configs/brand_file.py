"""One brand's YAML file: read, and held against the brands and apps that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from configs.brand import Brand
from configs.checked import validate
from configs.errors import ConfigError
from configs.service import ServiceConfig
from configs.yaml_file import YamlFile, did_you_mean

FILES = ("pages", "voice_guide", "conversations", "questions", "shipped_adapter", "intents")
"""Settings that name a file or folder."""


def brand_of(file: YamlFile, root: Path) -> Brand:
    """The brand that a file describes.

    Args:
        file: Named as the brand.
        root: What its relative paths begin at.

    Raises:
        ConfigError: With the line, the reason, and what to do.
    """
    brand = validate(Brand, file.values, file, {})
    if brand.name != file.path.stem:
        raise ConfigError(
            f"{file.path}:{file.line(('name',))} names the brand {brand.name!r}; name it {file.path.stem!r}, or "
            f"rename the file to {brand.name}.yaml"
        )
    paths = {name: root / path for name in FILES if (path := getattr(brand, name)) is not None}
    return brand.model_copy(update=paths)


def check_unique(brand: Brand, others: Iterable[Brand], path: Path) -> None:
    """Refuse a brand whose messages could not be told from another one's.

    Raises:
        ConfigError: With who has the key or account.
    """
    owners: dict[tuple[str, str], str] = {}
    for one in others:
        owners |= dict.fromkeys(_claims(one), one.name)
    for claim in _claims(brand):
        if (other := owners.setdefault(claim, brand.name)) != brand.name or _claims(brand).count(claim) > 1:
            raise ConfigError(
                f"{path}: the {claim[0]} {claim[1]!r} is taken by the brand "
                f"{other!r}; a message could not be told whose it is, so give each its own"
            )


def check_apps(brand: Brand, service: ServiceConfig, path: Path, settings: Path) -> None:
    """Refuse a brand that names an app which is not there.

    Args:
        brand: With its bindings.
        service: Holds the apps.
        path: The brand's file.
        settings: The file that `service` was read from.

    Raises:
        ConfigError: With the app and where to add it.
    """
    apps: Mapping[str, list[str]] = {channel: [*named] for channel, named in service.apps}
    team = brand.handover.slack
    if team and team.app not in apps["slack"]:
        raise ConfigError(
            f"{path}: handover.slack names the slack app {team.app!r}, which is not "
            f"there{did_you_mean(team.app, apps['slack'])}; add apps.slack.{team.app} to {settings}"
        )
    for binding in brand.channels:
        if binding.app not in apps[binding.channel]:
            known = apps[binding.channel]
            raise ConfigError(
                f"{path}: there is no {binding.channel} app {binding.app!r}"
                f"{did_you_mean(binding.app, known)}; add apps.{binding.channel}.{binding.app} to "
                f"{settings} (there: {', '.join(known) or 'none'})"
            )


def check_recipe(brand: Brand, path: Path, folder: Path) -> None:
    """Refuse a brand that would train, some night, with a recipe that is not there.

    Args:
        brand: With its plan of retraining.
        path: The brand's file.
        folder: Of the recipes.

    Raises:
        ConfigError: With the recipe and those that are there.
    """
    recipe = brand.retraining.recipe
    if recipe is not None and not (folder / f"{recipe}.yaml").is_file():
        known = sorted(one.stem for one in folder.glob("*.yaml"))
        raise ConfigError(
            f"{path}: retraining.recipe names {recipe!r}, which is not there{did_you_mean(recipe, known)}; "
            f"write {folder / recipe}.yaml, or name another one (there: {', '.join(known) or 'none'})"
        )


def _claims(brand: Brand) -> list[tuple[str, str]]:
    return [
        ("widget.site_key", brand.widget.site_key),
        *((f"{binding.channel} binding", binding.account) for binding in brand.channels),
    ]
