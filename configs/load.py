"""Read a deployment: `service.yaml`, `brands/*.yaml` and the environment, each value with its origin.

The environment beats the files: `BRANDVOICE_SERVICE__PORT` is `service.port`. What nobody knows is refused, in files
as in the environment, since a misspelt setting that is silently left out shows only when it hurts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

import configs
from configs.brand import Brand
from configs.errors import ConfigError
from configs.schema import exists, keys_at, models_at
from configs.service import Secret, ServiceConfig
from configs.yaml_file import Where, YamlFile, did_you_mean, read_yaml

Model = TypeVar("Model", bound=BaseModel)

PREFIX = "BRANDVOICE_"
PLAIN_NAMES: Mapping[str, str] = {
    "BRANDVOICE_HOME": "State folder; `./var` where it is not set.",
    "BRANDVOICE_CONFIGS": "Folder of `service.yaml`, `brands/` and `training/`; `./configs` where it is not set.",
    "BRANDVOICE_URL": "Address of the gateway that the command line talks to.",
    "BRANDVOICE_API_KEY": "API key that the command line sends.",
    "BRANDVOICE_PERSON": "Your name, as customers read it when you take a conversation over on the command line.",
    "BRANDVOICE_SYNTHESIS_API_KEY": "API key for the model that `brandvoice data synthesize` asks.",
}


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a deployment says."""

    service: ServiceConfig
    brands: Mapping[str, Brand]
    origins: Mapping[str, str]
    """Of each value, by its dotted name: `FILE:LINE`, the variable's name, or `default`."""
    folder: Path


def configs_folder(environment: Mapping[str, str]) -> Path:
    """`$BRANDVOICE_CONFIGS`, else `./configs`, else the folder that is installed with the program."""
    if named := environment.get("BRANDVOICE_CONFIGS"):
        return Path(named).expanduser().absolute()
    here = Path("configs").absolute()
    return here if (here / "service.yaml").is_file() else Path(configs.__file__).parent


def load_config(folder: Path, environment: Mapping[str, str]) -> Config:
    """Read and check everything.

    Args:
        folder: Holds `service.yaml` and `brands/`.
        environment: Usually `os.environ`.

    Raises:
        ConfigError: With the file and line or the variable, the reason, and what to do.
    """
    folder = folder.absolute()
    file = read_yaml(folder / "service.yaml")
    values, from_environment, unknown = _overlay(file.values, environment)
    service = _validate(ServiceConfig, values, file, from_environment)
    _refuse_unknown(unknown, service)
    root = folder.parent
    service = _rooted_secrets(service, root)
    origins = dict(_origins(service, (), file, from_environment, root))
    brands: dict[str, Brand] = {}
    for path in _brand_files(folder / "brands"):
        brand_file = read_yaml(path)
        brand = _validate(Brand, brand_file.values, brand_file, {})
        if brand.name != path.stem:
            raise ConfigError(
                f"{path}:{brand_file.line(('name',))} names the brand {brand.name!r}; name it {path.stem!r}, or "
                f"rename the file to {brand.name}.yaml"
            )
        origins |= {f"brands.{brand.name}.{key}": origin for key, origin in _origins(brand, (), brand_file, {}, root)}
        brands[brand.name] = _rooted(brand, root)
    _check_unique(brands, folder)
    _check_apps(brands, service, folder)
    _check_recipes(brands, folder)
    return Config(service, brands, origins, folder)


def secrets_of(config: BaseModel) -> Iterator[Secret]:
    """Every secret that a config names."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, Secret):
                yield one
            elif isinstance(one, BaseModel):
                yield from secrets_of(one)


def _brand_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; make it, with a file <brand>.yaml for each brand")
    if wrong := sorted(folder.glob("*.yml")):
        raise ConfigError(f"{wrong[0]} is not read; rename it to {wrong[0].stem}.yaml")
    if not (files := sorted(folder.glob("*.yaml"))):
        raise ConfigError(f"{folder} holds no brand; write <brand>.yaml (see docs/configuration.md)")
    return files


def _overlay(
    values: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[Where, str], list[str]]:
    """The file's values with the environment's over them, where each came from, and names that fit nowhere."""
    merged = _copied(values)
    origins: dict[Where, str] = {}
    unknown: list[str] = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name in PLAIN_NAMES:
            continue
        where = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if len(where) < 2 or not exists(ServiceConfig, where):
            unknown.append(name)
        elif text == "":
            # Compose files and shells pass variables on that nobody set.
            continue
        elif models_at(ServiceConfig, where):
            keys = ", ".join(f"{name}__{key.upper()}" for key in keys_at(ServiceConfig, where))
            raise ConfigError(f"the environment variable {name} names a section, not a value; set one of {keys}")
        else:
            _put(merged, where, _parsed(text))
            origins[where] = name
    return merged, origins, unknown


def _copied(values: Any) -> Any:
    return {key: _copied(value) for key, value in values.items()} if isinstance(values, Mapping) else values


def _put(values: dict[str, Any], where: tuple[str, ...], value: object) -> None:
    for step in where[:-1]:
        below = values.get(step)
        if not isinstance(below, dict):
            below = values[step] = {}
        values = below
    # A secret stands in one place: naming one in the environment replaces what the file says.
    if where[-1] in ("env", "file"):
        values.clear()
    values[where[-1]] = value


def _parsed(text: str) -> object:
    """Text as it is; lists and mappings in YAML's short form."""
    if text[:1] in "[{":
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text


def _refuse_unknown(names: list[str], service: ServiceConfig) -> None:
    allowed = {secret.env for secret in secrets_of(service)}
    for name in names:
        if name in allowed:
            continue
        known = [*PLAIN_NAMES, *(variable_of(dotted) for dotted, _ in _leaves(service, ()))]
        raise ConfigError(
            f"the environment variable {name} is not known{did_you_mean(name, known) or '; unset it'}"
            " (`brandvoice config show` lists all settings)"
        )


def variable_of(where: Where | str) -> str:
    """The variable that sets a value of service.yaml."""
    steps = where.split(".") if isinstance(where, str) else [str(step) for step in where]
    return PREFIX + "__".join(steps).upper()


def _validate(model: type[Model], values: Mapping[str, Any], file: YamlFile, variables: Mapping[Where, str]) -> Model:
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


def _origins(
    model: BaseModel, where: Where, file: YamlFile, variables: Mapping[Where, str], root: Path
) -> Iterator[tuple[str, str]]:
    shown = file.path.relative_to(root) if file.path.is_relative_to(root) else file.path
    for dotted, place in _leaves(model, where):
        if place in variables:
            yield dotted, variables[place]
        elif place in file.lines:
            yield dotted, f"{shown}:{file.lines[place]}"
        else:
            yield dotted, "default"


def _leaves(value: BaseModel, where: Where) -> Iterator[tuple[str, Where]]:
    for name in type(value).model_fields:
        yield from _leaf(getattr(value, name), (*where, name))


def _leaf(value: Any, where: Where) -> Iterator[tuple[str, Where]]:
    if isinstance(value, BaseModel):
        yield from _leaves(value, where)
    elif isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaf(below, (*where, key))
    else:
        yield ".".join(str(step) for step in where), where


def _rooted(brand: Brand, root: Path) -> Brand:
    """Relative paths are relative to the folder that holds `configs`."""
    names = ("pages", "voice_guide", "conversations", "questions", "shipped_adapter", "intents")
    paths = {name: root / path for name in names if (path := getattr(brand, name)) is not None}
    return brand.model_copy(update=paths)


def _rooted_secrets(model: Model, root: Path) -> Model:
    def rooted(value: Any) -> Any:
        if isinstance(value, Secret):
            return value.model_copy(update={"file": root / value.file}) if value.file else value
        if isinstance(value, BaseModel):
            return _rooted_secrets(value, root)
        return {key: rooted(one) for key, one in value.items()} if isinstance(value, dict) else value

    return model.model_copy(update={name: rooted(getattr(model, name)) for name in type(model).model_fields})


def _check_unique(brands: Mapping[str, Brand], folder: Path) -> None:
    owners: dict[tuple[str, ...], str] = {}
    for brand in brands.values():
        claims = [("widget.site_key", brand.widget.site_key)]
        claims += [(f"{binding.channel} binding", binding.account) for binding in brand.channels]
        for claim in claims:
            other = owners.setdefault(claim, brand.name)
            if other != brand.name or claims.count(claim) > 1:
                raise ConfigError(
                    f"{folder / 'brands' / brand.name}.yaml: the {claim[0]} {claim[1]!r} is taken by the brand "
                    f"{other!r}; a message could not be told whose it is, so give each its own"
                )


def _check_apps(brands: Mapping[str, Brand], service: ServiceConfig, folder: Path) -> None:
    apps: dict[str, list[str]] = {channel: [*named] for channel, named in service.apps}
    for brand in brands.values():
        team = brand.handover.slack
        if team and team.app not in apps["slack"]:
            raise ConfigError(
                f"{folder / 'brands' / brand.name}.yaml: handover.slack names the slack app {team.app!r}, which is not "
                f"there{did_you_mean(team.app, apps['slack'])}; add apps.slack.{team.app} to {folder / 'service.yaml'}"
            )
        for binding in brand.channels:
            if binding.app not in apps[binding.channel]:
                known = apps[binding.channel]
                raise ConfigError(
                    f"{folder / 'brands' / brand.name}.yaml: there is no {binding.channel} app {binding.app!r}"
                    f"{did_you_mean(binding.app, known)}; add apps.{binding.channel}.{binding.app} to "
                    f"{folder / 'service.yaml'} (there: {', '.join(known) or 'none'})"
                )


def _check_recipes(brands: Mapping[str, Brand], folder: Path) -> None:
    """What trains by itself, some night, is there."""
    for brand in brands.values():
        recipe = brand.retraining.recipe
        if "recipe" in brand.retraining.model_fields_set and not (folder / "training" / f"{recipe}.yaml").is_file():
            known = sorted(path.stem for path in (folder / "training").glob("*.yaml"))
            raise ConfigError(
                f"{folder / 'brands' / brand.name}.yaml: retraining.recipe names {recipe!r}, which is not there"
                f"{did_you_mean(recipe, known)} (known are {', '.join(known) or 'none'}); write "
                f"{folder / 'training' / recipe}.yaml, or name another one"
            )
