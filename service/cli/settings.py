"""`brandvoice config`: show and check."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel

from configs.brand import Brand
from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config, configs_folder, load_config
from configs.secrets import read_secret
from configs.service import App, Secret
from configs.training import read_any_recipe
from configs.yaml_file import did_you_mean
from service.cli import output
from service.cli.failures import Failure


def run_show(*, as_json: bool) -> None:
    """Print values with origins."""
    config = load_config(configs_folder(os.environ), os.environ, Home.from_environment(os.environ))
    values = dict(_values(config))
    if as_json:
        output.data({"values": {key: {"value": value, "origin": config.origins[key]} for key, value in values.items()}})
        return
    rows = [(key, _short(value), config.origins[key]) for key, value in values.items()]
    output.table(("key", "value", "origin"), rows)


def run_check(*, as_json: bool) -> None:
    """Check files, variables, and what they point at."""
    folder = configs_folder(os.environ)
    config = load_config(folder, os.environ, Home.from_environment(os.environ))
    recipes = sorted((folder / "training").glob("*.yaml"))
    for path in recipes:
        read_any_recipe(path)
    missing = [*config.left_out.values(), *_missing_paths(config)]
    warnings = list(_warnings(config))
    if as_json:
        output.data({"ok": not missing, "missing": missing, "warnings": warnings})
    else:
        for text in warnings:
            output.note(f"warning: {text}")
        if not missing:
            output.line(
                f"{folder}: service.yaml, {len(config.brands)} brands ({', '.join(config.brands)}) and "
                f"{len(recipes)} recipes are sound"
            )
    if missing:
        wrong = "a brand that was made in the console is not served" if config.left_out else ""
        raise Failure(
            wrong or "the configuration points at what is not there", "; ".join(missing), "correct what is named"
        )


def _values(config: Config) -> Iterator[tuple[str, Any]]:
    """Values under the dotted names of `Config.origins`."""
    roots: Mapping[str, Any] = {"": config.service, **{f"brands.{name}": one for name, one in config.brands.items()}}
    for key in config.origins:
        root = next((name for name in roots if name and key.startswith(f"{name}.")), "")
        value: Any = roots[root]
        for step in key.removeprefix(root).strip(".").split("."):
            value = value[step] if isinstance(value, Mapping) else getattr(value, step)
        yield key, _plain(key, value)


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [_plain(key, one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return without_password(value) if key.endswith("url") and isinstance(value, str) else value


def without_password(url: str) -> str:
    """An address whose password, where it has one, is `***`."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    place = parts.netloc.replace(f":{parts.password}@", ":***@")
    return urlunsplit(parts._replace(netloc=place))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 72 else text[:69] + "..."


def _missing_paths(config: Config) -> Iterator[str]:
    for name, brand in config.brands.items():
        if not brand.pages.is_dir():
            yield f"brands.{name}.pages: no folder {brand.pages}"
        for key in ("voice_guide", "conversations", "questions", "intents"):
            path = getattr(brand, key)
            if path is not None and not path.is_file():
                yield f"brands.{name}.{key}: no file {path}"
        yield from _unknown_intents(name, brand)


def _unknown_intents(name: str, brand: Brand) -> Iterator[str]:
    """Routes of intents that the brand's labelled messages do not know."""
    from retrieval.routing.intent_examples import read_examples

    if not brand.intents_routes or brand.intents is None or not brand.intents.is_file():
        return
    known = {one.intent for one in read_examples(brand.intents) if one.intent}
    for intent in sorted(brand.intents_routes.keys() - known):
        yield (
            f"brands.{name}.intents_routes.{intent}: no message in {brand.intents} has this intent"
            f"{did_you_mean(intent, tuple(known))}"
        )


def _warnings(config: Config) -> Iterator[str]:
    for name, brand in config.brands.items():
        if brand.shipped_adapter is not None and not (brand.shipped_adapter / "manifest.json").is_file():
            yield f"brands.{name}.shipped_adapter: no adapter in {brand.shipped_adapter}"
    for channel, app, settings in config.service.apps.each():
        if missing := unset_secrets(settings):
            yield f"apps.{channel}.{app} stays off until its secrets are set: {', '.join(missing)}"
    if not config.service.service.api_keys:
        yield "service.api_keys is not set; that is allowed on loopback only"


def unset_secrets(app: App) -> list[str]:
    """Variables and files where secrets of an app are said to stand, and are not."""
    return [secret.env or str(secret.file) for secret in app.secrets().values() if not _is_set(secret)]


def _is_set(secret: Secret) -> bool:
    try:
        read_secret(secret, os.environ)
    except ConfigError:
        return False
    return True
