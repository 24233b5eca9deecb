"""What a deployment asks of an adapter before an engine gets it: whole, signed, for this base, within its limits.

vLLM looks at some of it too, but says it to its log, and a layer that does not fit shows only in what it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.adapter_manifest import (
    CONFIG_FILE,
    FLOATS,
    WEIGHTS_FILE,
    AdapterManifest,
    lora_layers,
    read_adapter,
    read_json,
)
from configs.adapter_proof import read_proof
from configs.adapter_signature import Key, check_signature, signing_keys
from configs.base_manifest import BaseInvalid, base_folder, read_base
from configs.errors import AdapterInvalid
from configs.home import Home
from configs.safetensors_file import SafetensorsInvalid, read_header
from configs.service import ServiceConfig

UNUSABLE: Mapping[str, tuple[object, ...]] = {
    "use_dora": (False, None),
    "bias": ("none",),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "layer_replication": (None,),
    "alora_invocation_tokens": (None,),
}
"""Settings of PEFT's config that vLLM does not serve, with the values that ask for nothing.
Source: vLLM 0.32, vllm/lora/peft_helper.py."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one deployment; what is empty is not asked."""

    base_sha256: str | None = None
    """Digest of the base model that serves."""
    layers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes of the base's tensors by name, (outputs, inputs) for a linear layer; empty where they are packed."""
    max_rank: int | None = None
    keys: tuple[Key, ...] = ()

    @classmethod
    def of(cls, service: ServiceConfig, home: Home, environment: Mapping[str, str]) -> Terms:
        """The terms that a configuration names; a base that is not on this machine is left to the engine.

        Raises:
            ConfigError: The signing keys cannot be read.
        """
        folder = base_folder(home.models, service.models.base)
        keys = signing_keys(service, environment)
        try:
            base = read_base(folder).sha256
            tensors = [one for path in folder.glob("*.safetensors") for one in read_header(path)]
        except (BaseInvalid, SafetensorsInvalid, OSError):
            return cls(None, {}, service.engine.max_lora_rank, keys)
        layers = {one.name: one.shape if one.dtype in FLOATS else () for one in tensors}
        return cls(base, layers, service.engine.max_lora_rank, keys)


def verified(folder: Path, *, brand: str, terms: Terms) -> AdapterManifest:
    """Read an adapter and check that it is whole, this brand's, and within the terms.

    Raises:
        AdapterInvalid: It is not; the message says in what, and the cure.
    """
    manifest = read_adapter(folder, verify=True)
    read_proof(folder, manifest.weights_sha256)
    if terms.keys:
        check_signature(folder, terms.keys)
    if manifest.brand != brand or manifest.version != folder.name:
        raise AdapterInvalid(
            f"The adapter in {folder.name!r} says that it is {manifest.brand}@{manifest.version}, "
            f"but it lies where {brand}@{folder.name} belongs. Train it again, or move it to its own place."
        )
    name = f"{brand}@{folder.name}"
    if terms.base_sha256 and manifest.base.sha256 != terms.base_sha256:
        raise AdapterInvalid(
            f"{name} was trained on {manifest.base.name!r} ({manifest.base.sha256[:12]}), but the base "
            f"model that serves is another ({terms.base_sha256[:12]}). Retrain it: `brandvoice train --brand {brand}`."
        )
    if terms.max_rank and manifest.lora.r > terms.max_rank:
        raise AdapterInvalid(
            f"{name} has rank {manifest.lora.r}, but the engine takes {terms.max_rank} at most. Raise "
            "engine.max_lora_rank and start the engine again, or train it with a lower lora.r."
        )
    _check_features(folder, name)
    if terms.layers:
        _check_layers(folder, name, terms.layers)
    return manifest


def _check_features(folder: Path, name: str) -> None:
    config: Mapping[str, Any] = read_json(folder / CONFIG_FILE)
    for key, harmless in UNUSABLE.items():
        if (value := config.get(key, harmless[0])) not in harmless:
            raise AdapterInvalid(
                f"{name} was made with {key}={value!r}, which no engine here serves. Train it without."
            )


def _check_layers(folder: Path, name: str, base: Mapping[str, tuple[int, ...]]) -> None:
    modules = {tensor.rpartition(".")[0] for tensor in base}
    for layer, made in lora_layers(folder / WEIGHTS_FILE).items():
        if layer not in modules:
            raise AdapterInvalid(f"{name} changes {layer!r}, which the base model lacks. Train it on this base.")
        shape = base.get(f"{layer}.weight")
        if shape and shape != (made.outputs, made.inputs):
            raise AdapterInvalid(
                f"{name} was made for a {layer!r} of {made.outputs} x {made.inputs}; the base model's is "
                f"{' x '.join(map(str, shape))}. Train it on this base."
            )
