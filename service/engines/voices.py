"""Voices on a running engine: adapters are loaded, proven before they speak, and left out where they cannot."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import aiohttp

from configs.adapter_proof import read_proof
from configs.adapter_terms import Terms, verified
from configs.errors import AdapterInvalid
from configs.home import Home
from configs.verdict import BASE_VERSION
from service.engines.adapters import active_version, model_name
from service.engines.proof import prove
from service.errors import AdapterUnknown, ModelUnavailable, ServiceError
from service.ports import Voice

log = logging.getLogger(__name__)


class Adapters(Protocol):
    """What holds adapters: one engine, or several (`service.engines.pool`)."""

    async def make_ready(self, brand: str, version: str) -> None:
        """Return once this version is loaded and proven.

        Raises:
            AdapterUnknown: No such version, or it is refused; the message says why.
            ModelUnavailable: No engine can take it now.
        """
        ...


class EngineVoices:
    """Voices on what holds adapters: the active adapter of each brand, made ready when it is first asked for."""

    def __init__(self, home: Home, *, base_name: str, adapters: Adapters) -> None:
        self._home = home
        self._base_name = base_name
        self._adapters = adapters
        self._last_good: dict[str, str] = {}
        """The version that each brand spoke with last."""

    async def warm(self, brands: Iterable[str]) -> None:
        """Load and prove what serves, so that the first visitor need not wait for it."""
        for brand in tuple(brands):
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
            await self._adapters.make_ready(brand, wanted)
        except AdapterUnknown as error:
            kept = self._last_good.get(brand)
            if version or kept in (None, wanted):
                raise
            log.error("adapter_unusable", extra={"brand": brand, "serving": kept, "reason": str(error)})  # noqa: TRY400
            wanted = str(kept)
            await self._adapters.make_ready(brand, wanted)
        if version is None:
            self._last_good[brand] = wanted
        return Voice(brand, wanted, model_name(brand, wanted))


class EngineAdapters:
    """The adapters of one engine."""

    def __init__(
        self,
        home: Home,
        *,
        base_name: str,
        terms: Terms,
        engine_url: str,
        session: aiohttp.ClientSession,
        loaded: Mapping[str, Path],
    ) -> None:
        self._home = home
        self._base_name = base_name
        self._terms = terms
        self._url = engine_url.rstrip("/")
        self._session = session
        self._loaded = set(loaded)
        self._proven: set[str] = set()
        self._refused: dict[str, str] = {}
        """Models that failed their proof, and why."""
        self._loading = asyncio.Lock()
        self._lives = 0
        """How often the engine was started anew: what was proven in an earlier life says nothing."""

    def forget(self, kept: Mapping[str, Path]) -> None:
        """The engine was started anew with these adapters only."""
        self._lives += 1
        self._loaded = set(kept)
        self._proven.clear()
        self._refused.clear()

    def holds(self, model: str) -> bool:
        """Whether it is loaded and proven."""
        return model in self._proven

    async def make_ready(self, brand: str, version: str) -> None:
        """As `Adapters.make_ready` says."""
        model = model_name(brand, version)
        if model in self._proven:
            return
        async with self._loading:
            if model in self._proven:
                return
            if model in self._refused:
                raise AdapterUnknown(self._refused[model])
            folder = self._home.adapters / brand / version
            if "/" in version or version.startswith(".") or not folder.is_dir():
                raise AdapterUnknown(f"Brand {brand!r} has no adapter {version!r}. See `brandvoice adapter list`.")
            life = self._lives
            try:
                # Also where the engine was started with it: the folder may have changed since the engine read it.
                manifest = await asyncio.to_thread(verified, folder, brand=brand, terms=self._terms)
                proof = read_proof(folder, manifest.weights_sha256)
            except AdapterInvalid as error:
                raise AdapterUnknown(str(error)) from error
            if model not in self._loaded:
                await self._load(model, folder)
            if proof is None:
                log.warning("adapter_without_proof", extra={"brand": brand, "version": version})
            else:
                try:
                    await prove(self._session, self._url, base=self._base_name, model=model, proof=proof)
                except AdapterUnknown as error:
                    self._refused[model] = str(error)
                    await self._unload(model)
                    raise
            if life != self._lives:
                raise ModelUnavailable(f"The engine was started anew while {model} was tried.")
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

    async def _load(self, model: str, folder: Path) -> None:
        body = {"lora_name": model, "lora_path": str(folder)}
        try:
            async with self._session.post(
                f"{self._url}/v1/load_lora_adapter", json=body, timeout=aiohttp.ClientTimeout(total=60)
            ) as response:
                text = await response.text()
                if response.status != 200 and "already" not in text:
                    raise AdapterUnknown(f"The engine did not take {model}: {text[:300]!r}.")
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ModelUnavailable(f"The engine could not be reached to load {model}.") from error
        self._loaded.add(model)
