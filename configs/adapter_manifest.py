"""An adapter folder as it travels from training to service: its files, read with every check that can be made.

adapter_config.json         PEFT's own
adapter_model.safetensors   the weights, never a pickle
manifest.json               what it was made from, and for which base
proof.json                  what an engine must do with it (configs.adapter_proof); older adapters have none
signature.json              that this deployment trusts it (configs.adapter_signature), where the operator set a key
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from configs.base_manifest import SHA256, BaseManifest
from configs.brand import BRAND_NAME, Strict
from configs.errors import AdapterInvalid
from configs.safetensors_file import SafetensorsInvalid, read_header, tensors_sha256

Digest = Annotated[str, StringConstraints(pattern=SHA256)]
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
MANIFEST_FILE = "manifest.json"
LORA_TENSOR = re.compile(r"^base_model\.model\.(?P<layer>.+)\.lora_(?P<half>[AB])\.weight$")
"""As PEFT names them in a file."""
MAX_BYTES = 10_000_000
"""Of the weights of an adapter that ships with the project."""
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
FLOATS = frozenset({"BF16", "F16", "F32"})


Form = TypeVar("Form", bound=Strict)


class LoraShape(Strict):
    """The adapter's shape."""

    r: int = Field(ge=1)
    alpha: int = Field(ge=1)
    target_modules: tuple[str, ...] = Field(min_length=1, description="Names of layers, sorted.")


class Approval(Strict):
    """Who let it through a gate."""

    by: str
    at: datetime
    note: str = ""


class Provenance(Strict):
    """What it was trained with; digests of data, base and recipe stand beside it."""

    recipe: dict[str, Any] = Field(description="Every resolved value.")
    seed: int
    libraries: dict[str, str] = Field(description="Version by name.")
    python: str
    commit: str | None = Field(description="Of brandvoice, with -dirty behind it where files were changed.")
    processes: int = Field(default=1, ge=1, description="That trained together, a GPU each.")


class AdapterManifest(Strict):
    """Everything in `manifest.json`; digests are over parsed values, not over formatting."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Version of this form.")
    brand: str = Field(pattern=BRAND_NAME)
    version: str = Field(pattern=VERSION)
    base: BaseManifest
    lora: LoraShape
    weights_sha256: Digest
    template_sha256: Digest = Field(description="Of the prompt template (retrieval.prompt).")
    data_sha256: Digest = Field(description="Of the conversations.")
    recipe_sha256: Digest
    knowledge_version: str | None = Field(description="The knowledge base whose passages stood in the prompts.")
    metrics: dict[str, float | int | str | None] = Field(default_factory=dict)
    created_at: datetime
    parent: str | None = Field(default=None, description="The version that it replaces.")
    approvals: tuple[Approval, ...] = ()
    provenance: Provenance | None = Field(default=None, description="Not known of adapters made before it was kept.")

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        values = self.model_dump(mode="json", by_alias=True)
        if self.provenance is None:
            # A manifest from before it was kept stays as it was when it is written again.
            del values["provenance"]
        return json.dumps(values, indent=2) + "\n"


def read_adapter(folder: Path, *, verify: bool = True) -> AdapterManifest:
    """Read an adapter folder.

    Args:
        folder: With the three files.
        verify: Also check the weights against their digest, and PEFT's config against the manifest.

    Raises:
        AdapterInvalid: Not whole, holding a pickle, changed after packaging, not of this form, or with weights that no
            engine can use.
    """
    _check_files(folder)
    manifest = read_form(folder / MANIFEST_FILE, AdapterManifest, "manifest")
    if verify:
        _check_config(folder, manifest)
        _check_weights(folder, manifest)
    return manifest


@dataclass(frozen=True, slots=True)
class LoraLayer:
    """What an adapter adds to one linear layer: B (outputs, rank) times A (rank, inputs)."""

    rank: int
    inputs: int
    outputs: int


def lora_layers(path: Path) -> dict[str, LoraLayer]:
    """The layers of an adapter's weights file, by the base's names for them, such as `model.layers.0.mlp.up_proj`.

    Raises:
        SafetensorsInvalid: The file is not sound, or holds anything but pairs of matrices that belong together.
    """
    halves: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor in read_header(path):
        if (found := LORA_TENSOR.match(tensor.name)) is None or len(tensor.shape) != 2:
            raise SafetensorsInvalid(f"{tensor.name!r} is no part of a LoRA adapter of linear layers")
        if tensor.dtype not in FLOATS:
            raise SafetensorsInvalid(f"{tensor.name!r} is {tensor.dtype}; it must be {', '.join(sorted(FLOATS))}")
        halves.setdefault(found["layer"], {})[found["half"]] = tensor.shape
    if not halves:
        raise SafetensorsInvalid("it holds no weights")
    layers = {}
    for name, both in halves.items():
        down, up = both.get("A"), both.get("B")
        if down is None or up is None or down[0] != up[1]:
            raise SafetensorsInvalid(f"the two halves of {name!r} do not belong together")
        layers[name] = LoraLayer(down[0], down[1], up[0])
    return layers


def base_mismatch(manifest: AdapterManifest, base: BaseManifest) -> str | None:
    """Why an adapter cannot be served on a base; None where it can."""
    if manifest.base.sha256 == base.sha256:
        return None
    return (
        f"adapter {manifest.brand}@{manifest.version} was trained on {manifest.base.name} "
        f"({manifest.base.sha256[:12]}), the base here is {base.name} ({base.sha256[:12]}): retrain it on this base "
        f"(brandvoice train --brand {manifest.brand}) or set models.base to {manifest.base.name}"
    )


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise AdapterInvalid(f"no adapter folder {folder}; `brandvoice adapter list` shows what there is")
    pickles = sorted(path.name for path in folder.rglob("*") if path.suffix.lower() in PICKLES)
    if pickles:
        raise AdapterInvalid(
            f"{folder} holds {', '.join(pickles)}: pickled weights can run code and are never loaded; "
            "save the adapter as safetensors"
        )
    if not (folder / MANIFEST_FILE).is_file() and (folder / CONFIG_FILE).is_file():
        raise AdapterInvalid(_foreign(folder))
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE, MANIFEST_FILE) if not (folder / name).is_file()]
    if missing:
        raise AdapterInvalid(f"{folder} lacks {', '.join(missing)}: not a whole adapter; copy or train it again")


def _foreign(folder: Path) -> str:
    """What to say of an adapter that PEFT wrote and training did not package."""
    try:
        base = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    return (
        f"{folder} was written by PEFT and not packaged here: it lacks {MANIFEST_FILE}, so that nothing says for which "
        f"brand, prompts and weights of {base or 'a base model'} it was made; train it here on the data that it was "
        "made of (brandvoice train --brand NAME)"
    )


def read_form(path: Path, form: type[Form], name: str) -> Form:
    """Read one of an adapter's JSON files.

    Raises:
        AdapterInvalid: It cannot be read, or is not of this form.
    """
    try:
        return form.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise AdapterInvalid(f"{path} is not a {name}: {where}: {first['msg']}; train or copy it again") from error


def read_json(path: Path) -> Any:
    """Read one of an adapter's JSON files, whatever it says.

    Raises:
        AdapterInvalid: It cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterInvalid(f"{path} cannot be read: {error}; train or copy it again") from error


def _check_config(folder: Path, manifest: AdapterManifest) -> None:
    path = folder / CONFIG_FILE
    try:
        config: dict[str, Any] = read_json(path)
        targets = config["target_modules"]
        found = (config["peft_type"], config["r"], config["lora_alpha"], sorted(targets))
    except (KeyError, TypeError) as error:
        raise AdapterInvalid(f"{path} is not PEFT's config of a LoRA adapter: {error!r}; train it again") from error
    lora = manifest.lora
    if found != ("LORA", lora.r, lora.alpha, sorted(lora.target_modules)):
        raise AdapterInvalid(f"{path} and {MANIFEST_FILE} describe different adapters; train or copy it again")


def _check_weights(folder: Path, manifest: AdapterManifest) -> None:
    path = folder / WEIGHTS_FILE
    try:
        digest = tensors_sha256([path], finite=True)
        layers = lora_layers(path)
    except (OSError, SafetensorsInvalid) as error:
        raise AdapterInvalid(f"{path} is not sound: {error}; train or copy it again") from error
    if digest != manifest.weights_sha256:
        raise AdapterInvalid(f"{path} changed after it was packaged; copy it again or train it again")
    lora = manifest.lora
    if ranks := {layer.rank for layer in layers.values()} - {lora.r}:
        raise AdapterInvalid(f"{path} holds layers of rank {max(ranks)}, {MANIFEST_FILE} says {lora.r}; train it again")
    # A target is the end of a layer's name, as PEFT reads it.
    ends = [f".{target}" for target in lora.target_modules]
    stray = [layer for layer in layers if not f".{layer}".endswith(tuple(ends))]
    idle = [end[1:] for end in ends if not any(f".{layer}".endswith(end) for layer in layers)]
    if stray or idle:
        raise AdapterInvalid(
            f"{path} changes {(stray or ['nothing'])[0]} where {MANIFEST_FILE} says "
            f"{(idle or lora.target_modules)[0]}; train it again"
        )
