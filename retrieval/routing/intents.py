"""What a message is about: a classifier a brand, kept as a folder.

    <home>/intents/<brand>/manifest.json   encoder, labels, thresholds, figures, sha256 of the files below
                           examples.jsonl  the messages it was trained on
                           arrays.npz      their views and weights; no pickle is read

Kernel ridge regression (`retrieval.kernel_ridge`) on views of vectors and n-grams
(`retrieval.routing.intent_features`): no encoder is trained, and a brand's few hundred messages take a second.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from configs.brand import Strict
from configs.yaml_file import did_you_mean
from retrieval.encoder import Encoder, Vectors
from retrieval.errors import IntentsInvalid
from retrieval.kernel_ridge import kernel
from retrieval.onnx_model import file_sha256
from retrieval.routing.intent_examples import Example
from retrieval.routing.intent_features import FeatureSpace, views
from retrieval.routing.out_of_scope import NEIGHBOURS, OutOfScope, Scores, signals_of

MANIFEST = "manifest.json"
EXAMPLES = "examples.jsonl"
ARRAYS = "arrays.npz"
AT_ONCE = 512
"""Messages compared with all examples at a time."""


class IntentManifest(Strict):
    """Everything in `manifest.json`. The same examples give the same one on the same machine."""

    schema_: Literal[2] = Field(default=2, alias="schema")
    encoder_sha256: str
    labels: tuple[str, ...] = Field(min_length=2)
    scale: float = Field(description="Of the outputs before they become probabilities.")
    out_of_scope: OutOfScope
    examples: int
    out_of_scope_examples: int
    data_sha256: str
    metrics: dict[str, float | None] = Field(description="Each example judged by all others.")
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def threshold(self) -> float:
        """The out-of-scope score above which a message is rejected."""
        return self.out_of_scope.threshold


@dataclass(frozen=True, slots=True)
class Near:
    """A training example, and how alike it is: the weighted mean of three cosines."""

    text: str
    intent: str | None
    similarity: float


@dataclass(frozen=True, slots=True)
class Intent:
    """What one message is about."""

    intent: str
    """The likeliest one, also where the message is rejected."""
    probability: float
    """Among the known intents."""
    out_of_scope: float
    """0 to 1; see `retrieval.routing.out_of_scope`."""
    rejected: bool
    nearest: tuple[Near, ...] = ()

    def summary(self) -> dict[str, Any]:
        """For a turn's evidence: without the examples."""
        return {
            "intent": self.intent,
            "probability": round(self.probability, 4),
            "out_of_scope": round(self.out_of_scope, 4),
            "rejected": self.rejected,
        }


@dataclass(frozen=True, slots=True)
class Classified:
    """What many messages are about."""

    best: NDArray[np.int64]
    """Position of the likeliest intent, [messages]."""
    probability: Scores
    out_of_scope: Scores
    intents: tuple[str | None, ...]
    """The likeliest intent; None where the message is rejected."""


class IntentClassifier:
    """A trained classifier."""

    def __init__(
        self,
        manifest: IntentManifest,
        examples: Sequence[Example],
        space: FeatureSpace,
        vectors: Vectors,
        weights: Vectors,
        encoder: Encoder,
    ) -> None:
        self.manifest = manifest
        self._examples = tuple(examples)
        self._space = space
        self._vectors = vectors
        self._weights = weights
        self._encoder = encoder
        self._rows = space.rows([one.text for one in examples], vectors)
        self._inside = np.array([one.intent is not None for one in examples])

    def classify(self, texts: Sequence[str]) -> Classified:
        """Classify messages."""
        parts = [
            self._judged(self._similarity(texts[start : start + AT_ONCE])) for start in range(0, len(texts), AT_ONCE)
        ]
        return Classified(
            np.concatenate([one.best for one in parts]),
            np.concatenate([one.probability for one in parts]),
            np.concatenate([one.out_of_scope for one in parts]),
            tuple(intent for one in parts for intent in one.intents),
        )

    def read(self, text: str) -> Intent:
        """Classify one message, with the examples nearest to it."""
        similarity = self._similarity([text])
        seen = self._judged(similarity)
        nearest = np.argsort(-similarity[0], kind="stable")[:NEIGHBOURS]
        return Intent(
            self.manifest.labels[seen.best[0]],
            float(seen.probability[0]),
            float(seen.out_of_scope[0]),
            seen.intents[0] is None,
            tuple(Near(self._examples[at].text, self._examples[at].intent, float(similarity[0, at])) for at in nearest),
        )

    def check_routes(self, intents: Iterable[str]) -> None:
        """Refuse intents that this classifier does not know.

        Raises:
            IntentsInvalid: One of them is not known.
        """
        for intent in intents:
            if intent not in self.manifest.labels:
                raise IntentsInvalid(
                    f"intents_routes names {intent!r}, which no example has"
                    f"{did_you_mean(intent, self.manifest.labels) or '; train again, or correct the route'}"
                )

    def save(self, folder: Path) -> None:
        """Write the folder; what stood there before stays until the new one is whole."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            lines = [json.dumps([one.text, one.intent], ensure_ascii=True) + "\n" for one in self._examples]
            (new / EXAMPLES).write_text("".join(lines), encoding="utf-8")
            np.savez(
                new / ARRAYS,
                vectors=self._vectors,
                weights=self._weights,
                center=self._space.center,
                rarity=self._space.rarity,
            )
            files = {name: file_sha256(new / name) for name in (EXAMPLES, ARRAYS)}
            manifest = self.manifest.model_copy(update={"files": files})
            (new / MANIFEST).write_text(manifest.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
            if folder.exists():
                os.replace(folder, Path(scratch) / "old")
            os.replace(new, folder)
            shutil.rmtree(Path(scratch) / "old", ignore_errors=True)

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> IntentClassifier:
        """Load a folder.

        Raises:
            IntentsInvalid: There is none, a file is damaged, or it was trained with another encoder.
        """
        try:
            manifest = IntentManifest.model_validate_json((folder / MANIFEST).read_text("utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise IntentsInvalid(
                f"There is no sound classifier in {folder} ({type(error).__name__}). Run `brandvoice intents train`."
            ) from error
        if manifest.encoder_sha256 != encoder.sha256:
            raise IntentsInvalid(
                f"The classifier in {folder} was trained with another encoder. Run `brandvoice intents train` again."
            )
        try:
            return cls._read(folder, manifest, encoder)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise IntentsInvalid(
                f"A file in {folder} is damaged ({error}). Run `brandvoice intents train` again."
            ) from error

    @classmethod
    def _read(cls, folder: Path, manifest: IntentManifest, encoder: Encoder) -> IntentClassifier:
        for name in (EXAMPLES, ARRAYS):
            if file_sha256(folder / name) != manifest.files.get(name):
                raise ValueError(f"{name} is not the file that was written")
        lines = (folder / EXAMPLES).read_text("utf-8").splitlines()
        examples = [Example(*json.loads(line)) for line in lines]
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            space = FeatureSpace(arrays["center"], arrays["rarity"])
            return cls(manifest, examples, space, arrays["vectors"], arrays["weights"], encoder)

    def _similarity(self, texts: Sequence[str]) -> Vectors:
        """To each example, [messages, examples]; in full precision, as in training."""
        found: Vectors = self._space.rows(texts, views(texts, self._encoder)) @ self._rows.T
        return found

    def _judged(self, similarity: Vectors) -> Classified:
        outputs = kernel(similarity) @ self._weights
        count = len(self.manifest.labels)
        chances = probabilities(outputs[:, :count], self.manifest.scale)
        scores = self.manifest.out_of_scope.scores(signals_of(outputs, count, nearness(similarity[:, self._inside])))
        best = chances.argmax(axis=1)
        intents = decided(self.manifest.labels, best, scores > self.manifest.threshold)
        return Classified(best, chances.max(axis=1).astype(float), scores, intents)


def probabilities(outputs: Vectors, scale: float) -> Vectors:
    """Outputs as probabilities, rows summing to 1."""
    raised = np.exp(scale * (outputs - outputs.max(axis=1, keepdims=True)))
    shares: Vectors = raised / raised.sum(axis=1, keepdims=True)
    return shares


def nearness(similarity: Vectors) -> Vectors:
    """Mean of the highest similarities of each message, [messages]."""
    wanted = min(NEIGHBOURS, similarity.shape[1])
    highest: Vectors = np.partition(similarity, -wanted, axis=1)[:, -wanted:].mean(axis=1)
    return highest


def decided(labels: Sequence[str], best: NDArray[np.int64], rejected: NDArray[np.bool_]) -> tuple[str | None, ...]:
    """The likeliest intent of each message; None where it is rejected."""
    return tuple(None if off else labels[at] for at, off in zip(best, rejected, strict=True))
