"""Small adapters with real files, and a state folder around them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from configs.adapter_manifest import AdapterManifest, LoraShape
from configs.adapter_proof import AdapterProof, Canary, CanaryMessage, Probe
from configs.base_manifest import BaseManifest
from configs.home import Home
from configs.safetensors_file import tensors_sha256

LAYER = "model.layers.0.self_attn.q_proj"
INPUTS, OUTPUTS = 6, 10
BASE_SHA256 = "b" * 64
CANARY = Canary(
    messages=(CanaryMessage(role="user", content="Hello?"),),
    prompt_tokens=(1, 2, 3),
    reply_tokens=(7, 8, 9, 10),
    probes=(Probe(at=0, adapter=-0.2, base=-2.0), Probe(at=2, adapter=-0.2, base=-2.0)),
)
Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """Write tensors given as (dtype, shape, bytes) by name."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def lora_tensors(
    rank: int = 4, *, value: float = 0.5, layer: str = LAYER
) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The two matrices of one layer, in float32."""
    prefix = f"base_model.model.{layer}.lora_"
    shapes = {"A": (rank, INPUTS), "B": (OUTPUTS, rank)}
    return {
        f"{prefix}{half}.weight": ("F32", shape, struct.pack("<f", value) * (shape[0] * shape[1]))
        for half, shape in shapes.items()
    }


def make_adapter(
    home: Home,
    brand: str = "demo",
    version: str = "1",
    *,
    rank: int = 4,
    tensors: Tensors | None = None,
    config: Mapping[str, object] | None = None,
    proven: bool = True,
) -> Path:
    """Write a version that passes every check unless told otherwise; its digests always fit.

    Args:
        home: The state folder.
        brand: Whose adapter.
        version: Its name.
        rank: Of its only layer.
        tensors: Other weights.
        config: Other values in PEFT's config.
        proven: With a proof beside it.

    Returns:
        Its folder.
    """
    folder = home.adapters / brand / version
    folder.mkdir(parents=True)
    write_safetensors(folder / "adapter_model.safetensors", lora_tensors(rank) if tensors is None else tensors)
    peft = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(peft | dict(config or {})))
    weights = tensors_sha256([folder / "adapter_model.safetensors"])
    manifest = AdapterManifest(
        brand=brand,
        version=version,
        base=BaseManifest(name="base", source="test", sha256=BASE_SHA256, dtype="float32"),
        lora=LoraShape(r=rank, alpha=8, target_modules=("q_proj",)),
        weights_sha256=weights,
        template_sha256="c" * 64,
        data_sha256="d" * 64,
        recipe_sha256="e" * 64,
        knowledge_version=None,
        created_at="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    if proven:
        (folder / "proof.json").write_text(AdapterProof(weights_sha256=weights, canaries=(CANARY,)).to_json())
    return folder


def activate(home: Home, version: str, brand: str = "demo") -> None:
    """Let a version speak, without the gate."""
    (home.adapters / brand / "active").write_text(version)
