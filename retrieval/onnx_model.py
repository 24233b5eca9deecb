"""What every model on ONNX Runtime has here: a folder that matches its manifest, a tokenizer, a session."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from retrieval.errors import RetrievalError

MANIFEST = "manifest.json"


def read_manifest(folder: Path, files: Sequence[str], invalid: type[RetrievalError], cure: str) -> dict[str, Any]:
    """The manifest of a prepared model, once each of its files is the one that was prepared.

    Args:
        folder: Holds the manifest and the files.
        files: That must be there.
        invalid: What is raised.
        cure: Said where something is missing, as a whole sentence.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        for name in files:
            if file_sha256(folder / name) != manifest["files"][name]:
                raise invalid(
                    f"{name} in {folder} is not the file that was prepared. Delete the folder and prepare it again."
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise invalid(f"The model in {folder} is incomplete ({error!r}). {cure}") from error
    return manifest


def open_tokenizer(folder: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer of a prepared model, which pads nothing and cuts what is too long."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The packaged tokenizer pads every text to a fixed length, which costs a query 35 ms instead of 2.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def open_session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """A session on so many threads; 0 stands for all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that wait for work in a loop take the engine's cores: 1.7 s of processor for what needs 0.7.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def as_inputs(encoded: Sequence[Encoding]) -> dict[str, NDArray[np.int64]]:
    """`input_ids` and `attention_mask` of a batch, int64 [n, longest], padded with 0."""
    longest = max(len(item.ids) for item in encoded)
    ids = np.zeros((len(encoded), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, item in enumerate(encoded):
        ids[row, : len(item.ids)] = item.ids
        mask[row, : len(item.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
