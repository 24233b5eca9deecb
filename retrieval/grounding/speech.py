"""What kind of sentence is it, judged by its meaning: style of a speaker, or an instruction to an assistant?

Logistic models over the encoder's vector of one sentence, fitted by `python -m retrieval.grounding.speech_fit`, which
writes `speech_weights.json`. They belong to one encoder; with another they say nothing, and rules alone decide.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from retrieval.encoder import Encoder, Vectors

Kind = Literal["style", "instruction"]
WEIGHTS_FILE = Path(__file__).with_name("speech_weights.json")


@dataclass(frozen=True, slots=True)
class _Model:
    intercept: float
    weights: Vectors
    """float32 [dim]."""


def probability(kind: Kind, text: str, encoder: Encoder) -> float:
    """How probably a sentence is of a kind, 0 to 1; 0 where the weights belong to another encoder."""
    name, models = _models()
    if encoder.name != name:
        return 0.0
    model = models[kind]
    logit = model.intercept + float(model.weights @ encoder.encode_query(text))
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


@lru_cache(maxsize=1)
def _models() -> tuple[str, dict[str, _Model]]:
    if not WEIGHTS_FILE.is_file():
        return "", {}
    read = json.loads(WEIGHTS_FILE.read_text("utf-8"))
    models = {
        kind: _Model(one["intercept"], np.array(one["weights"], np.float32)) for kind, one in read["models"].items()
    }
    return read["encoder"], models
