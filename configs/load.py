"""Read a deployment: `service.yaml`, `brands/*.yaml` and the environment, each value with its origin.

The environment beats the files: `BRANDVOICE_SERVICE__PORT` is `service.port`. What nobody knows is refused, in files
as in the environment, since a misspelt setting that is silently left out shows only when it hurts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

import configs
from configs.brand import Brand
from configs.brand_file import brand_of, check_apps, check_recipe, check_unique
from configs.checked import leaves, origins, validate
from configs.errors import ConfigError
from configs.home import Home
from configs.made import Around, read_made
from configs.schema import exists, keys_at, models_at
from configs.service import Secret, ServiceConfig
from configs.yaml_file import Where, did_you_mean, read_yaml

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
    made: frozenset[str] = frozenset()
    """Those of the brands that people made in the browser."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Made brands that are not served: name to what is wrong with them."""


def configs_folder(environment: Mapping[str, str]) -> Path:
    """`$BRANDVOICE_CONFIGS`, else `./configs`, else the folder that is installed with the program."""
    if named := environment.get("BRANDVOICE_CONFIGS"):
        return Path(named).expanduser().absolute()
    here = Path("configs").absolute()
    return here if (here / "service.yaml").is_file() else Path(configs.__file__).parent


def load_config(folder: Path, environment: Mapping[str, str], home: Home | None = None) -> Config:
    """Read and check everything.

    Args:
        folder: Holds `service.yaml` and `brands/`.
        environment: Usually `os.environ`.
        home: The state folder, whose brands are read too; only the folder's own without it.

    Raises:
        ConfigError: With the file and line or the variable, the reason, and what to do.
    """
    folder = folder.absolute()
    file = read_yaml(folder / "service.yaml")
    values, from_environment, unknown = _overlay(file.values, environment)
    service = validate(ServiceConfig, values, file, from_environment)
    _refuse_unknown(unknown, service)
    root = folder.parent
    service = _rooted_secrets(service, root)
    found = dict(origins(service, (), file, from_environment, root))
    brands: dict[str, Brand] = {}
    for path in _brand_files(folder / "brands"):
        brand_file = read_yaml(path)
        brand = brand_of(brand_file, root)
        check_unique(brand, brands.values(), path)
        check_apps(brand, service, path, folder / "service.yaml")
        check_recipe(brand, path, folder / "training")
        found |= {f"brands.{brand.name}.{key}": origin for key, origin in origins(brand, (), brand_file, {}, root)}
        brands[brand.name] = brand
    if home is None:
        return Config(service, brands, found, folder)
    made = read_made(Around(home, service, folder / "service.yaml", brands))
    return Config(
        service, {**brands, **made.brands}, {**found, **made.origins}, folder, frozenset(made.brands), made.left_out
    )


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
        known = [*PLAIN_NAMES, *(variable_of(dotted) for dotted, _ in leaves(service, ()))]
        raise ConfigError(
            f"the environment variable {name} is not known{did_you_mean(name, known) or '; unset it'}"
            " (`brandvoice config show` lists all settings)"
        )


def variable_of(where: Where | str) -> str:
    """The variable that sets a value of service.yaml."""
    steps = where.split(".") if isinstance(where, str) else [str(step) for step in where]
    return PREFIX + "__".join(steps).upper()


def _rooted_secrets(model: Model, root: Path) -> Model:
    def rooted(value: Any) -> Any:
        if isinstance(value, Secret):
            return value.model_copy(update={"file": root / value.file}) if value.file else value
        if isinstance(value, BaseModel):
            return _rooted_secrets(value, root)
        return {key: rooted(one) for key, one in value.items()} if isinstance(value, dict) else value

    return model.model_copy(update={name: rooted(getattr(model, name)) for name in type(model).model_fields})
