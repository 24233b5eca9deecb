"""A trained cross-encoder to ONNX, in int8 where that leaves the order of passages as it is; needs torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoder import MAX_TOKENS
from retrieval.errors import RerankerInvalid
from retrieval.onnx_export import export_onnx, quantise
from retrieval.onnx_model import MANIFEST, file_sha256
from retrieval.reranker import FILES, INPUTS, KIND, OnnxReranker, Scores

MAX_DIFFERENCE = 0.001
"""Of probabilities: the float32 export must be the model."""
MIN_ORDER = 0.95
"""Share of pairs of passages that int8 must leave in the model's order."""
APART = 0.01
"""Probabilities nearer than this are in no order."""

Probe = tuple[str, Sequence[str]]
"""A question, and passages to be put in order."""


def export_reranker(source: Path, target: Path, probes: Sequence[Probe], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write a re-ranker's folder; whoever calls moves it into place when it is whole.

    Args:
        source: Folder of a model in Hugging Face layout with one logit, and its tokenizer.
        target: A folder that does not exist.
        probes: The export is compared with the model on these.
        about: Kept in the manifest: at least `brand` and `encoder_sha256`, which loading asks for.

    Returns:
        The manifest that was written; `precision` says whether int8 was kept, `order` its share of pairs in order.

    Raises:
        RerankerInvalid: The export does not reproduce the model.
    """
    target.mkdir()
    shutil.copy(source / "tokenizer.json", target / "tokenizer.json")
    _export(source, target / "model.onnx")
    wanted = _model_says(source, probes)
    difference = max(float(np.abs(one - other).max()) for one, other in zip(wanted, _says(target, probes), strict=True))
    if difference > MAX_DIFFERENCE:
        raise RerankerInvalid(
            f"The export differs from the model (probabilities by {difference:.4f}, at most {MAX_DIFFERENCE} wanted). "
            "Another version of torch or onnxruntime may be installed than the lock names."
        )
    small = target / "int8"
    small.mkdir()
    shutil.copy(target / "tokenizer.json", small / "tokenizer.json")
    quantise(target / "model.onnx", small / "model.onnx")
    order = same_order(wanted, _says(small, probes))
    if order >= MIN_ORDER:
        os.replace(small / "model.onnx", target / "model.onnx")
    shutil.rmtree(small)
    manifest = {
        "kind": KIND,
        **about,
        "files": {one: file_sha256(target / one) for one in FILES},
        "precision": "int8" if order >= MIN_ORDER else "float32",
        "parity": {"difference": round(difference, 6), "order": round(order, 4)},
    }
    (target / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def same_order(wanted: Sequence[Scores], got: Sequence[Scores]) -> float:
    """Of the pairs of passages that are told apart, the share that stands in the same order; 1 where there is none.

    Args:
        wanted: Of each question, the probabilities of its passages.
        got: The same of another model.
    """
    told = right = 0
    for one, other in zip(wanted, got, strict=True):
        apart = one[:, None] - one[None, :]
        counted = apart > APART
        told += int(counted.sum())
        right += int((counted & (other[:, None] > other[None, :])).sum())
    return right / told if told else 1.0


def _says(folder: Path, probes: Sequence[Probe]) -> list[Scores]:
    model = OnnxReranker(folder)
    return [model.probabilities(question, passages) for question, passages in probes]


def _model_says(source: Path, probes: Sequence[Probe]) -> list[Scores]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source))
    model = AutoModelForSequenceClassification.from_pretrained(str(source)).eval()
    found: list[Scores] = []
    for question, passages in probes:
        rows = [[question, one] for one in passages]
        # All in one batch: an export that ignored the mask would differ where texts are padded.
        batch = tokenizer(rows, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            found.append(torch.sigmoid(model(**batch).logits[:, 0]).numpy())
    return found


def _export(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForSequenceClassification.from_pretrained(str(source), attn_implementation="eager").eval()

    class Logit(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
        ) -> torch.Tensor:
            said: torch.Tensor = self.model(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).logits
            return said[:, 0]

    ids = torch.randint(1000, 2000, (2, 9))
    inputs = (ids, torch.ones_like(ids), (torch.arange(9) > 3).long().expand(2, 9).clone())
    export_onnx(Logit(), inputs, INPUTS, ("logits", 1), target)
