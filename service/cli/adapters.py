"""`brandvoice adapter` and `brandvoice train`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.cli import output
from service.cli.deployment import Deployment, open_deployment, run_module
from service.cli.failures import REFUSED, WRONG_USE, Failure


def run_list(brand: str | None, *, as_json: bool) -> None:
    """List adapters."""
    from service.engines.adapters import list_adapters

    deployment = open_deployment()
    brands = {brand: deployment.brand(brand)} if brand else deployment.config.brands
    found = list_adapters(deployment.home, brands)
    if as_json:
        output.data({"adapters": [one.as_json() for one in found]})
    elif not found:
        output.note("no adapters yet; `brandvoice demo` installs those that ship, `brandvoice train` makes one")
    else:
        rows = [
            (
                "*" if one.active else "",
                f"{one.brand}@{one.version}",
                one.base_model,
                one.created_at,
                _brief(one.metrics),
            )
            for one in found
        ]
        output.table(("", "adapter", "base model", "created at", "metrics"), rows)
        for one in found:
            if one.problem:
                output.note(f"{one.brand}@{one.version} cannot be used: {one.problem}")


def run_show(named: str, *, as_json: bool) -> None:
    """Show one manifest."""
    from configs.adapter_manifest import read_adapter
    from service.engines.adapters import active_version

    deployment = open_deployment()
    brand, version = _split(deployment, named)
    folder = deployment.home.adapters / brand / version
    _must_exist(deployment, brand, version)
    manifest = read_adapter(folder)
    active = active_version(deployment.home, brand) == version
    shown: dict[str, Any] = {**json.loads(manifest.to_json()), "active": active, "folder": str(folder)}
    if as_json:
        output.data(shown)
    else:
        for key, value in _flat(shown):
            output.line(f"{key} = {value}")


def run_promote(named: str, *, override: str | None, by: str | None, as_json: bool) -> None:
    """Move the pointer, where the gate lets it or somebody answers for it."""
    from service.engines.adapters import promote
    from service.engines.promotion import Override

    deployment = open_deployment()
    brand, version = _split(deployment, named)
    _must_exist(deployment, brand, version)
    if (override is None) != (by is None):
        raise Failure(
            "an override is kept with a name and a reason",
            "one of --override and --by is missing",
            "give both, such as --override 'urgent price change' --by 'A. Name'",
            code=WRONG_USE,
        )
    manifest = promote(
        deployment.home,
        deployment.brand(brand),
        version,
        terms=deployment.terms,
        override=Override(by, override) if override is not None and by is not None else None,
    )
    if manifest.approvals and not as_json:
        output.note(f"let through by {manifest.approvals[-1].by}: {manifest.approvals[-1].note}")
    _tell(brand, version, as_json=as_json)


def run_rollback(brand: str, *, as_json: bool) -> None:
    """Move the pointer back."""
    from service.engines.adapters import rollback

    deployment = open_deployment()
    deployment.brand(brand)
    version = rollback(deployment.home, brand, terms=deployment.terms)
    _tell(brand, version, as_json=as_json)


def run_sign(named: str | None, *, every: bool, as_json: bool) -> None:
    """Sign one adapter that the operator trusts, or all that nothing speaks against."""
    from configs.adapter_signature import key_name, sign_adapter
    from configs.errors import AdapterInvalid
    from service.engines.adapters import list_adapters

    deployment = open_deployment()
    keys = deployment.terms.keys
    if not keys:
        raise Failure("there is no key to sign with", "adapters.signing_keys is not set", "docs/training.md says how")
    if (named is None) != every:
        raise Failure("what shall be signed?", "an adapter or --all", "brandvoice adapter list", code=WRONG_USE)
    if named is not None:
        wanted = [_split(deployment, named)]
        _must_exist(deployment, *wanted[0])
    else:
        found = list_adapters(deployment.home, deployment.config.brands)
        wanted = [(one.brand, one.version) for one in found]
    signed: list[str] = []
    refused: dict[str, str] = {}
    for brand, version in wanted:
        name, folder = f"{brand}@{version}", deployment.home.adapters / brand / version
        try:
            _check_before_signing(folder, brand, keys, every=every)
            sign_adapter(folder, keys)
        except AdapterInvalid as error:
            refused[name] = str(error)
        else:
            signed.append(name)
    if as_json:
        output.data({"key": key_name(keys[0]), "signed": signed, "refused": refused})
    else:
        for name in signed:
            output.line(f"{name} is signed")
    if refused:
        raise Failure(
            f"not signed: {', '.join(refused)}",
            "; ".join(refused.values()),
            "sign what you trust by name",
            code=REFUSED,
        )


def _check_before_signing(folder: Path, brand: str, keys: Sequence[bytes], *, every: bool) -> None:
    from configs.adapter_signature import check_signature, signed_state
    from configs.adapter_terms import Terms, verified

    verified(folder, brand=brand, terms=Terms())
    state = signed_state(folder, keys)
    # A foreign signature may be trusted one by one; what changed under a key of ours is never signed over.
    if state == "changed" or (state == "another key" and every):
        check_signature(folder, keys)


def run_train(
    brand: str,
    recipe: str,
    *,
    changes: Sequence[str],
    pairs: Path | None,
    version: str | None,
    questions: int,
    force: bool,
    ship: bool,
    as_json: bool,
) -> None:
    """Train as a process of its own."""
    deployment = open_deployment()
    deployment.brand(brand)
    deployment.encoder(output.note)
    result = train(brand, recipe, changes=changes, pairs=pairs, version=version, questions=questions, force=force)
    if ship and result["version"] is None:
        raise Failure(f"{brand} ships no whole model", "the recipe trains all weights", "take one of an adapter")
    if ship:
        result["shipped_to"] = str(_ship(deployment, brand, Path(result["folder"])))
    if as_json:
        output.data(result)
        return
    if result["version"] is None:
        output.line(f"{brand}: {_brief(result['metrics'])}")
        output.note(f"all weights were trained, to compare with; the model lies in {result['folder']}")
        return
    name = f"{brand}@{result['version']}"
    output.line(f"{name} {'is up to date' if result['skipped'] else 'is trained'}: {_brief(result['metrics'])}")
    if result["shipped_metrics"]:
        output.line(f"the adapter that ships: {_brief(result['shipped_metrics'])}")
    output.note(f"is it better? brandvoice eval --brand {brand} --candidate {result['version']}")
    output.note(f"let it speak: brandvoice adapter promote {name}")


def train(
    brand: str,
    recipe: str,
    *,
    changes: Sequence[str] = (),
    pairs: Path | None = None,
    version: str | None = None,
    questions: int = 0,
    force: bool = False,
) -> dict[str, Any]:
    """Train one brand; progress goes to stderr.

    Returns:
        `brand`, `version`, `folder`, `run`, `skipped`, `metrics`, `shipped_metrics`.
    """
    options = ["--brand", brand, "--recipe", recipe, "--questions", str(questions)]
    options += [word for change in changes for word in ("--set", change)]
    options += ["--pairs", str(pairs)] if pairs else []
    options += ["--version", version] if version else []
    options += ["--force"] if force else []
    result: dict[str, Any] = json.loads(run_module("training.train", *options, what=f"{brand} was not trained"))
    return result


def _ship(deployment: Deployment, brand: str, folder: Path) -> Path:
    """Put an adapter where the one that ships stands; the old one goes only when the new one is whole."""
    from configs.adapter_signature import SIGNATURE_FILE

    target = deployment.brand(brand).shipped_adapter
    if target is None:
        raise Failure(
            f"{brand} ships no adapter", "its YAML names no shipped_adapter", "name a folder there", code=WRONG_USE
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as scratch:
        # The signature is this deployment's, and others have other keys.
        shutil.copytree(folder, Path(scratch) / "new", ignore=shutil.ignore_patterns(SIGNATURE_FILE))
        if target.exists():
            os.rename(target, Path(scratch) / "old")
        os.rename(Path(scratch) / "new", target)
    return target


def _split(deployment: Deployment, named: str) -> tuple[str, str]:
    brand, mark, version = named.partition("@")
    if not mark or not version:
        raise Failure(
            f"{named!r} names no adapter",
            "an adapter is named BRAND@VERSION",
            "brandvoice adapter list",
            code=WRONG_USE,
        )
    deployment.brand(brand)
    return brand, version


def _must_exist(deployment: Deployment, brand: str, version: str) -> None:
    from configs.yaml_file import did_you_mean
    from service.engines.adapters import list_adapters

    known = [one.version for one in list_adapters(deployment.home, {brand: deployment.brand(brand)})]
    if version not in known:
        raise Failure(
            f"there is no adapter {brand}@{version}",
            f"{brand} has {', '.join(known) or 'none yet'}",
            did_you_mean(version, known).removeprefix("; ") or "brandvoice adapter list",
            code=WRONG_USE,
        )


def _tell(brand: str, version: str, *, as_json: bool) -> None:
    if as_json:
        output.data({"brand": brand, "version": version, "active": True})
    else:
        output.line(f"{brand}@{version} speaks now")


def _brief(metrics: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in dict(metrics).items()) or "no metrics"


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [pair for key, below in value.items() for pair in _flat(below, f"{prefix}.{key}" if prefix else key)]
    return [(prefix, value)]
