"""Write an adapter folder that service accepts, and say whether one still matches what it was made from."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.adapter_manifest import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    LoraShape,
    Provenance,
    read_adapter,
)
from configs.adapter_proof import PROOF_FILE, AdapterProof
from configs.base_manifest import BaseManifest
from configs.safetensors_file import tensors_sha256
from configs.training import AdapterRecipe
from retrieval.prompt import template_sha256
from training.errors import TrainingFailed


@dataclass(frozen=True, slots=True)
class Origin:
    """Everything that an adapter is bound to."""

    brand: str
    base: BaseManifest
    recipe_sha256: str
    data_sha256: str
    template_sha256: str

    @classmethod
    def of(cls, brand: str, base: BaseManifest, recipe: AdapterRecipe, data_sha256: str) -> Origin:
        """The origin that an adapter made now would have."""
        return cls(brand, base, recipe.sha256(), data_sha256, template_sha256())

    def digests(self, knowledge_version: str | None) -> dict[str, str | None]:
        """All that one training depends on, as text."""
        return {
            "knowledge_version": knowledge_version,
            "brand": self.brand,
            "base_sha256": self.base.sha256,
            "recipe_sha256": self.recipe_sha256,
            "data_sha256": self.data_sha256,
            "template_sha256": self.template_sha256,
        }


def adapter_matches(folder: Path, expected: Origin) -> list[str]:
    """Names of the manifest's fields that differ from what is expected; empty where the adapter is up to date.

    Raises:
        AdapterInvalid: The folder is no whole adapter.
    """
    manifest = read_adapter(folder)
    pairs = {
        "brand": (manifest.brand, expected.brand),
        "base.sha256": (manifest.base.sha256, expected.base.sha256),
        "template_sha256": (manifest.template_sha256, expected.template_sha256),
        "data_sha256": (manifest.data_sha256, expected.data_sha256),
        "recipe_sha256": (manifest.recipe_sha256, expected.recipe_sha256),
    }
    return [field for field, (found, wanted) in pairs.items() if found != wanted]


def package_adapter(
    model: Any,
    folder: Path,
    *,
    origin: Origin,
    knowledge_version: str | None,
    metrics: Mapping[str, float | int | str | None],
    parent: str | None = None,
    provenance: Provenance | None = None,
    prove: Callable[[Path, str], AdapterProof | None] | None = None,
) -> AdapterManifest:
    """Write the adapter of a PEFT model, in bfloat16, all files or none.

    Args:
        model: A `peft.PeftModel` with one LoRA adapter.
        folder: The version's folder, `adapters/<brand>/<version>`; must not exist.
        origin: What it was made from.
        knowledge_version: The knowledge base whose passages stood in the prompts.
        metrics: Numbers to keep with it.
        parent: The version that it replaces.
        provenance: What it was trained with.
        prove: Tries the written weights, given their folder and digest; what it returns is kept beside them.

    Raises:
        TrainingFailed: The folder exists already, or the disk does not take the files.
    """
    if folder.exists():
        raise TrainingFailed(f"{folder} exists already and versions never change; give another version")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            shape = _write_weights(model, building, origin.base.name)
            manifest = AdapterManifest(
                brand=origin.brand,
                version=folder.name,
                base=origin.base,
                lora=shape,
                weights_sha256=tensors_sha256([building / WEIGHTS_FILE]),
                template_sha256=origin.template_sha256,
                data_sha256=origin.data_sha256,
                recipe_sha256=origin.recipe_sha256,
                knowledge_version=knowledge_version,
                metrics=dict(metrics),
                created_at=datetime.now(UTC).replace(microsecond=0),
                parent=parent,
                provenance=provenance,
            )
            (building / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
            if prove and (proof := prove(building, manifest.weights_sha256)):
                (building / PROOF_FILE).write_text(proof.to_json(), encoding="utf-8")
            publish(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise TrainingFailed(
            f"the adapter could not be written to {folder}: {error}; nothing was left there, free some disk (20 MB) "
            "and train again"
        ) from error
    return manifest


def with_metrics(folder: Path, metrics: Mapping[str, float | int | str | None]) -> AdapterManifest:
    """Add numbers to the manifest of an adapter that was not published yet; the weights stay as they are."""
    manifest = read_adapter(folder)
    grown = manifest.model_copy(update={"metrics": {**manifest.metrics, **metrics}})
    temporary = folder / f".{MANIFEST_FILE}"
    temporary.write_text(grown.to_json(), encoding="utf-8")
    temporary.replace(folder / MANIFEST_FILE)
    return grown


def publish(building: Path, folder: Path) -> None:
    """Make a finished folder appear under its name at once, safe on disk."""
    building.chmod(0o755)
    for path in building.iterdir():
        path.chmod(0o644)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    building.rename(folder)


def _write_weights(model: Any, folder: Path, base_name: str) -> LoraShape:
    """Weights and PEFT's config; the config names the base, never a path of this machine."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: tensor.detach().to("cpu", torch.bfloat16).contiguous() for name, tensor in sorted(state.items())}
    try:
        save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    except SafetensorError as error:
        # It tells a full disk in a way of its own.
        raise OSError(str(error)) from error
    model.peft_config["default"].save_pretrained(folder)
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    # PEFT names each layer of a small model in full, and by its last part where there are many.
    targets = tuple(sorted({name.rpartition(".")[2] for name in config["target_modules"]}))
    config.update(base_model_name_or_path=base_name, target_modules=list(targets), inference_mode=True)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return LoraShape(r=config["r"], alpha=config["lora_alpha"], target_modules=targets)
