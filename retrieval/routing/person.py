"""Does a message belong to a person of the brand's team, whatever the pages say?

A wish for a person in any wording, or a matter that no page settles: a threat, money that is missing, an injury, one's
own order or account, one's own data, distress. Kernel ridge regression on meaning, words and letters, as for intents
(`retrieval.routing.intents`), fitted by `python -m retrieval.routing.person_fit` on `person_examples.yaml`, which
writes `person_model.npz`. The model belongs to one encoder; with another it says nothing, and rules decide.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from retrieval.encoder import Encoder, Vectors
from retrieval.kernel_ridge import kernel
from retrieval.routing.intent_features import FeatureSpace

EXAMPLES_FILE = Path(__file__).with_name("person_examples.yaml")
MODEL_FILE = Path(__file__).with_name("person_model.npz")
MATTERS = {
    "person": "asks for a person",
    "threat": "a matter for a person: a complaint or a threat",
    "money": "a matter for a person: money missing, or fraud",
    "safety": "a matter for a person: safety",
    "own": "a matter for a person: an order or account of one's own",
    "data": "a matter for a person: a request about personal data",
    "distress": "a matter for a person: distress",
}
"""The lists of the examples, in the words an operator reads."""
NOT = "not"


@dataclass(frozen=True, slots=True)
class Matter:
    """Why a message belongs to a person."""

    reason: str
    """One of MATTERS' values."""
    score: float
    """Above the matter's line; examples that belong to a person were fitted to 0.5, all others to -0.5."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The file of examples."""

    texts: tuple[str, ...]
    matters: tuple[str, ...]
    """Name of each example's list, [texts]."""
    sha256: str


@dataclass(frozen=True, slots=True)
class _Model:
    encoder: str
    space: FeatureSpace
    rows: Vectors
    """float32 [examples, features]."""
    weights: Vectors
    """Whether it belongs to a person, then each matter; float32 [examples, 1 + matters]."""
    lines: Vectors
    """A message below its matter's line is not handed over; float32 [matters]."""


def read_examples() -> Examples:
    """Read the examples, in the order of the file."""
    written = EXAMPLES_FILE.read_bytes()
    lists = yaml.safe_load(written)
    return Examples(
        tuple(text for texts in lists.values() for text in texts),
        tuple(name for name, texts in lists.items() for _ in texts),
        hashlib.sha256(written).hexdigest(),
    )


def query_views(text: str, encoder: Encoder) -> Vectors:
    """A message's vector beside the highest value of each dimension among its content tokens, float32 [2 * dim].

    Both come from the one call that search needs anyway; the encoder keeps it.
    """
    views: Vectors = np.concatenate([encoder.encode_query(text), encoder.encode_query_tokens(text).max(axis=0)])
    return views


def outputs(messages: Vectors, examples: Vectors, weights: Vectors) -> Vectors:
    """Whether messages belong to a person, then each matter, [messages, 1 + matters]; features come in rows."""
    found: Vectors = kernel(messages @ examples.T) @ weights
    return found


def matter(text: str, encoder: Encoder) -> Matter | None:
    """Why a message belongs to a person; None where it does not, or the model belongs to another encoder."""
    model = _model()
    if encoder.name != model.encoder:
        return None
    row = model.space.rows([text], query_views(text, encoder)[None])
    found = outputs(row, model.rows, model.weights)[0]
    at = int(found[1:].argmax())
    if found[0] <= model.lines[at]:
        return None
    return Matter(list(MATTERS.values())[at], round(float(found[0]), 4))


@lru_cache(maxsize=1)
def _model() -> _Model:
    """The shipped model.

    Raises:
        ValueError: It was fitted on other examples than those beside it.
    """
    examples = read_examples()
    with np.load(MODEL_FILE, allow_pickle=False) as arrays:
        if str(arrays["examples_sha256"]) != examples.sha256:
            raise ValueError(f"{MODEL_FILE.name} was fitted on other examples; run retrieval.routing.person_fit")
        views = arrays["views"].astype(np.float32)
        space = FeatureSpace.fit(examples.texts, views)
        rows = space.rows(examples.texts, views)
        return _Model(str(arrays["encoder"]), space, rows, arrays["weights"], arrays["lines"])
