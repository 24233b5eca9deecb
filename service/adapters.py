"""Which adapter speaks for which brand: folders, a pointer to the active one, and what the engine has loaded.

A version is a folder and never changes. What serves is the name in `adapters/<brand>/active`; promoting and rolling
back replace that one file. `adapters/<brand>/history` lists what was active before, newest last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from configs.adapter_manifest import AdapterManifest, read_adapter
from configs.adapter_proof import read_proof
from configs.brand import Brand
from configs.errors import AdapterInvalid
from configs.home import Home
from service.errors import AdapterUnknown, ModelUnavailable, ServiceError
from service.ports import BASE_VERSION, Voice
from service.proof import prove

log = logging.getLogger(__name__)


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


def promote(home: Home, brand: str, version: str, *, base_sha256: str | None = None) -> AdapterManifest:
    """Make a version the one that serves, after its files were verified.

    Args:
        home: The state folder.
        brand: Whose adapter.
        version: Which one.
        base_sha256: Digest of the base model that serves; an adapter of another base is refused.

    Raises:
        AdapterUnknown: No such version.
        AdapterInvalid: Damaged, unsafe, or made for another base.
    """
    folder = home.adapters / brand / version
    if version in ("", ".", "..") or "/" in version or not folder.is_dir():
        known = ", ".join(known.name for known in _folders(home, brand)) or "none yet"
        raise AdapterUnknown(
            f"Brand {brand!r} has no adapter {version!r} (known: {known}). See `brandvoice adapter list`."
        )
    manifest = verified(folder, brand=brand, base_sha256=base_sha256)
    before = active_version(home, brand)
    if before == version:
        return manifest
    if before:
        with (home.adapters / brand / "history").open("a", encoding="utf-8") as history:
            history.write(before + "\n")
            history.flush()
            os.fsync(history.fileno())
    _replace(home.adapters / brand / "active", version)
    return manifest


def verified(folder: Path, *, brand: str, base_sha256: str | None = None) -> AdapterManifest:
    """Read an adapter and check that it is whole, this brand's, and made for this base."""
    manifest = read_adapter(folder, verify=True)
    read_proof(folder, manifest.weights_sha256)
    if manifest.brand != brand or manifest.version != folder.name:
        raise AdapterInvalid(
            f"The adapter in {folder.name!r} says that it is {manifest.brand}@{manifest.version}, "
            f"but it lies where {brand}@{folder.name} belongs. Train it again, or move it to its own place."
        )
    if base_sha256 and manifest.base.sha256 != base_sha256:
        raise AdapterInvalid(
            f"{brand}@{folder.name} was trained on {manifest.base.name!r} ({manifest.base.sha256[:12]}), but the base "
            f"model that serves is another ({base_sha256[:12]}). Retrain it: `brandvoice train --brand {brand}`."
        )
    return manifest


def rollback(home: Home, brand: str, *, base_sha256: str | None = None) -> str:
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
    verified(home.adapters / brand / version, brand=brand, base_sha256=base_sha256)
    _replace(home.adapters / brand / "active", version)
    _replace(history_file, "\n".join(lines) + "\n" if lines else "")
    return version


def install_shipped(home: Home, brand: Brand) -> str | None:
    """Copy the adapter that ships with the project into the state folder; the first one becomes active.

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
            shutil.copytree(source, Path(scratch) / "adapter")
            (Path(scratch) / "adapter").rename(target)
    if active_version(home, brand.name) is None:
        promote(home, brand.name, manifest.version)
    return manifest.version


class EngineVoices:
    """Voices on a running engine: the active adapter of each brand, loaded when it is first asked for."""

    def __init__(
        self,
        home: Home,
        *,
        base_name: str,
        base_sha256: str | None,
        engine_url: str,
        session: aiohttp.ClientSession,
        loaded: Mapping[str, Path],
    ) -> None:
        self._home = home
        self._base_name = base_name
        self._base_sha256 = base_sha256
        self._url = engine_url.rstrip("/")
        self._session = session
        self._loaded = set(loaded)
        self._proven: set[str] = set()
        self._refused: dict[str, str] = {}
        """Models that failed their proof, and why."""
        self._last_good: dict[str, str] = {}
        """The version that each brand spoke with last."""
        self._loading = asyncio.Lock()

    def forget(self, kept: Mapping[str, Path]) -> None:
        """The engine was started anew with these adapters only."""
        self._loaded = set(kept)
        self._proven.clear()
        self._refused.clear()

    async def warm(self, brands: Iterable[str]) -> None:
        """Load and prove what serves, so that the first visitor need not wait for it."""
        for brand in brands:
            try:
                await self.voice(brand)
            except ServiceError as error:
                log.error("adapter_unusable", extra={"brand": brand, "reason": str(error)})  # noqa: TRY400

    async def voice(self, brand: str, version: str | None = None) -> Voice:
        """As `Voices.voice` says; where the active version cannot serve, the one before it goes on speaking."""
        wanted = version or active_version(self._home, brand) or BASE_VERSION
        if wanted == BASE_VERSION:
            return Voice(brand, BASE_VERSION, self._base_name)
        try:
            await self._make_ready(brand, wanted)
        except AdapterUnknown as error:
            kept = self._last_good.get(brand)
            if version or kept in (None, wanted):
                raise
            log.error("adapter_unusable", extra={"brand": brand, "serving": kept, "reason": str(error)})  # noqa: TRY400
            wanted = str(kept)
            await self._make_ready(brand, wanted)
        if version is None:
            self._last_good[brand] = wanted
        return Voice(brand, wanted, model_name(brand, wanted))

    async def _make_ready(self, brand: str, version: str) -> None:
        model = model_name(brand, version)
        if model in self._proven:
            return
        async with self._loading:
            if model in self._refused:
                raise AdapterUnknown(self._refused[model])
            if model not in self._loaded:
                await self._load(brand, version, model)
            if model not in self._proven:
                await self._prove(brand, version, model)

    async def _prove(self, brand: str, version: str, model: str) -> None:
        folder = self._home.adapters / brand / version
        try:
            manifest = await asyncio.to_thread(read_adapter, folder, verify=False)
            proof = read_proof(folder, manifest.weights_sha256)
        except AdapterInvalid as error:
            raise AdapterUnknown(str(error)) from error
        if proof is None:
            log.warning("adapter_without_proof", extra={"brand": brand, "version": version})
        else:
            try:
                await prove(self._session, self._url, base=self._base_name, model=model, proof=proof)
            except AdapterUnknown as error:
                self._refused[model] = str(error)
                await self._unload(model)
                raise
        self._proven.add(model)

    async def _unload(self, model: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=60)
            body = {"lora_name": model}
            async with self._session.post(
                f"{self._url}/v1/unload_lora_adapter", json=body, timeout=timeout
            ) as response:
                await response.read()
        self._loaded.discard(model)

    async def _load(self, brand: str, version: str, model: str) -> None:
        folder = self._home.adapters / brand / version
        if "/" in version or version.startswith(".") or not folder.is_dir():
            raise AdapterUnknown(f"Brand {brand!r} has no adapter {version!r}. See `brandvoice adapter list`.")
        try:
            await asyncio.to_thread(verified, folder, brand=brand, base_sha256=self._base_sha256)
        except AdapterInvalid as error:
            raise AdapterUnknown(str(error)) from error
        body = {"lora_name": model, "lora_path": str(folder)}
        try:
            async with self._session.post(
                f"{self._url}/v1/load_lora_adapter", json=body, timeout=aiohttp.ClientTimeout(total=60)
            ) as response:
                text = await response.text()
                if response.status != 200 and "already" not in text:
                    raise AdapterUnknown(f"The engine did not take {brand}@{version}: {text[:300]!r}.")
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ModelUnavailable(f"The engine could not be reached to load {brand}@{version}.") from error
        self._loaded.add(model)


def model_name(brand: str, version: str) -> str:
    """The engine's name for an adapter."""
    return f"{brand}@{version}"


def serving_adapters(
    home: Home, brands: Mapping[str, Brand], *, base_sha256: str | None
) -> tuple[dict[str, Path], list[str]]:
    """The active adapters that can be served, by the engine's names, and why others cannot."""
    usable: dict[str, Path] = {}
    problems: list[str] = []
    for brand in sorted(brands):
        version = active_version(home, brand)
        if version is None:
            continue
        folder = home.adapters / brand / version
        try:
            verified(folder, brand=brand, base_sha256=base_sha256)
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


def _replace(path: Path, text: str) -> None:
    """Replace a small file so that a reader sees the old or the new text, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".tmp-", delete=False, encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
