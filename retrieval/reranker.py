"""A question and a passage, read together, to the probability that the one answers the other; on ONNX Runtime.

It costs a whole reading of each passage at each question, which an encoder does once: so only a few are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import MAX_TOKENS, Encoder
from retrieval.errors import RerankerInvalid
from retrieval.onnx_model import as_inputs, open_session, open_tokenizer, read_manifest

FILES = ("model.onnx", "tokenizer.json")
KIND = "cross_encoder"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Scores = NDArray[np.float32]


class Reranker(Protocol):
    """Reads passages at a question."""

    def probabilities(self, question: str, passages: Sequence[str]) -> Scores:
        """How probable it is that each passage answers the question; float32 [n], 0 to 1."""
        ...


class OnnxReranker:
    """A cross-encoder with one logit, exported to ONNX (see `retrieval.reranker_export`)."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = open_tokenizer(folder, MAX_TOKENS)
        # One thread, for the reason that the encoder of questions has one.
        self._session = open_session(folder / "model.onnx", threads=1)

    @classmethod
    def load(cls, folder: Path, *, brand: str, encoder: Encoder) -> OnnxReranker:
        """Load what was trained for a brand.

        Args:
            folder: The version's.
            brand: Whose pages it must have been trained on.
            encoder: That finds what is re-ranked; the gate judged the two together.

        Raises:
            RerankerInvalid: A file is missing or changed, or it was made for something else.
        """
        train = f"Train one: `brandvoice train retriever --brand {brand} --recipe cross_encoder`."
        manifest = read_manifest(folder, FILES, RerankerInvalid, train)
        if manifest.get("kind") != KIND:
            raise RerankerInvalid(f"{folder} holds no re-ranker, but a model of another kind. {train}")
        if manifest.get("brand") != brand:
            other = manifest.get("brand")
            raise RerankerInvalid(f"The re-ranker in {folder} was trained on {other!r}, not on {brand!r}. {train}")
        if manifest.get("encoder_sha256") != encoder.sha256:
            raise RerankerInvalid(
                f"The re-ranker in {folder} was judged together with another encoder than the {encoder.name!r} that "
                f"searches for {brand!r} now. {train}"
            )
        return cls(folder)

    def probabilities(self, question: str, passages: Sequence[str]) -> Scores:
        """Read each passage by itself: int8 scales what is in a batch together, and padding costs time."""
        logits = np.array([self._logit(question, one) for one in passages], np.float32)
        found: Scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return found

    def _logit(self, question: str, passage: str) -> float:
        encoded = self._tokenizer.encode(question, passage)
        inputs = {**as_inputs([encoded]), "token_type_ids": np.array([encoded.type_ids], np.int64)}
        return float(self._session.run(None, inputs)[0][0])
