"""Which adapter speaks for which brand: folders, and a pointer to the active one.

A version is a folder and never changes. What serves is the name in `adapters/<brand>/active`; promoting and rolling
back replace that one file. `adapters/<brand>/history` lists what was active before, newest last.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.adapter_manifest import MANIFEST_FILE, AdapterManifest, read_adapter
from configs.adapter_signature import SIGNATURE_FILE, sign_adapter
from configs.adapter_terms import Terms, verified
from configs.brand import Brand
from configs.errors import AdapterInvalid
from configs.home import Home
from configs.whole_file import replace_text
from service.engines.promotion import Override, approval
from service.errors import AdapterUnknown


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """One adapter version, as `adapter list` shows it."""

    brand: str
    version: str
    base_model: str
    active: bool
    created_at: str
    metrics: Mapping[str, Any]
    folder: Path
    problem: str | None = None
    """Why it cannot be used, where its folder is damaged."""

    def as_json(self) -> dict[str, Any]:
        """As programs read it; without the folder, which is this machine's."""
        told = asdict(self) | {"metrics": dict(self.metrics)}
        del told["folder"]
        return told if self.problem else {key: value for key, value in told.items() if key != "problem"}


def list_adapters(home: Home, brands: Mapping[str, Brand]) -> list[AdapterInfo]:
    """All versions of all brands, brand by brand, oldest first; a damaged one is listed with its problem."""
    found: list[AdapterInfo] = []
    for brand in sorted(brands):
        active = active_version(home, brand)
        versions: list[AdapterInfo] = []
        for folder in _folders(home, brand):
            try:
                manifest = read_adapter(folder, verify=False)
            except AdapterInvalid as error:
                versions.append(
                    AdapterInfo(brand, folder.name, "", folder.name == active, "", {}, folder, problem=str(error))
                )
                continue
            versions.append(
                AdapterInfo(
                    brand,
                    folder.name,
                    manifest.base.name,
                    folder.name == active,
                    str(manifest.created_at),
                    dict(manifest.metrics),
                    folder,
                )
            )
        found += sorted(versions, key=lambda info: (info.created_at, info.version))
    return found


def active_version(home: Home, brand: str) -> str | None:
    """The version that serves, or None where the brand has no adapter yet."""
    try:
        return (home.adapters / brand / "active").read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def promote(
    home: Home, brand: Brand, version: str, *, terms: Terms, override: Override | None = None
) -> AdapterManifest:
    """Make a version the one that serves, after its files were verified and the gate has passed it.

    Who let it through, and why, is kept in its manifest.

    Args:
        home: The state folder.
        brand: Whose adapter.
        version: Which one.
        terms: What this deployment asks of an adapter.
        override: Who answers for it where the gate does not pass it.

    Returns:
        Its manifest as it stands now.

    Raises:
        AdapterUnknown: No such version.
        AdapterInvalid: Damaged, unsafe, unsigned, or not within the terms.
        PromotionRefused: The gate does not let it speak.
    """
    manifest = _verified_version(home, brand.name, version, terms)
    before = active_version(home, brand.name)
    if before == version:
        return manifest
    let = approval(home, brand, manifest, active=before, base_sha256=terms.base_sha256, override=override)
    manifest = manifest.model_copy(update={"approvals": (*manifest.approvals, let)})
    folder = home.adapters / brand.name / version
    replace_text(folder / MANIFEST_FILE, manifest.to_json())
    if terms.keys:
        sign_adapter(folder, terms.keys)
    _activate(home, brand.name, version)
    return manifest


def _verified_version(home: Home, brand: str, version: str, terms: Terms) -> AdapterManifest:
    folder = home.adapters / brand / version
    if version in ("", ".", "..") or "/" in version or not folder.is_dir():
        known = ", ".join(known.name for known in _folders(home, brand)) or "none yet"
        raise AdapterUnknown(
            f"Brand {brand!r} has no adapter {version!r} (known: {known}). See `brandvoice adapter list`."
        )
    return verified(folder, brand=brand, terms=terms)


def _activate(home: Home, brand: str, version: str) -> None:
    """Move the pointer, and remember what spoke before."""
    if before := active_version(home, brand):
        with (home.adapters / brand / "history").open("a", encoding="utf-8") as history:
            history.write(before + "\n")
            history.flush()
            os.fsync(history.fileno())
    replace_text(home.adapters / brand / "active", version)


def rollback(home: Home, brand: str, *, terms: Terms) -> str:
    """Go back to the version that was active before.

    Raises:
        AdapterUnknown: There is none.
        AdapterInvalid: It is damaged; what serves stays as it is.
    """
    history_file = home.adapters / brand / "history"
    lines = history_file.read_text("utf-8").split() if history_file.exists() else []
    if not lines:
        raise AdapterUnknown(f"Brand {brand!r} has no earlier adapter to go back to. See `brandvoice adapter list`.")
    version = lines.pop()
    verified(home.adapters / brand / version, brand=brand, terms=terms)
    replace_text(home.adapters / brand / "active", version)
    replace_text(history_file, "\n".join(lines) + "\n" if lines else "")
    return version


def install_shipped(home: Home, brand: Brand, *, terms: Terms) -> str | None:
    """Copy the adapter that ships with the project into the state folder.

    Where the brand has none yet it becomes active: who names it in the YAML answers for it.

    Where the operator has keys, the copy is signed once its digests are verified: it came with the program that
    verifies, and is trusted as that is.

    Returns:
        Its version, or None where the brand ships none.
    """
    source = brand.shipped_adapter
    if source is None or not (source / "manifest.json").exists():
        return None
    manifest = read_adapter(source, verify=True)
    target = home.adapters / brand.name / manifest.version
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as scratch:
            shutil.copytree(source, Path(scratch) / "adapter", ignore=shutil.ignore_patterns(SIGNATURE_FILE))
            if terms.keys:
                sign_adapter(Path(scratch) / "adapter", terms.keys)
            (Path(scratch) / "adapter").rename(target)
    if active_version(home, brand.name) is None:
        _activate(home, brand.name, manifest.version)
    return manifest.version


def model_name(brand: str, version: str) -> str:
    """The engine's name for an adapter."""
    return f"{brand}@{version}"


def serving_adapters(home: Home, brands: Mapping[str, Brand], *, terms: Terms) -> tuple[dict[str, Path], list[str]]:
    """The active adapters that can be served, by the engine's names, and why others cannot."""
    usable: dict[str, Path] = {}
    problems: list[str] = []
    for brand in sorted(brands):
        version = active_version(home, brand)
        if version is None:
            continue
        folder = home.adapters / brand / version
        try:
            verified(folder, brand=brand, terms=terms)
        except (AdapterInvalid, OSError) as error:
            problems.append(str(error))
            continue
        usable[model_name(brand, version)] = folder.resolve()
    return usable, problems


def _folders(home: Home, brand: str) -> list[Path]:
    folder = home.adapters / brand
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
