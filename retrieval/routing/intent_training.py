"""Train an intent classifier: vectors, features, weights, then the line beyond which a message is out of scope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Encoder, Vectors
from retrieval.errors import IntentsInvalid
from retrieval.kernel_ridge import fit
from retrieval.routing.intent_evaluation import measure
from retrieval.routing.intent_examples import Example, examples_sha256
from retrieval.routing.intent_features import FeatureSpace, views
from retrieval.routing.intents import IntentClassifier, IntentManifest, decided, nearness, probabilities
from retrieval.routing.out_of_scope import OutOfScope, signals_of

MAX_EXAMPLES = 25_000
"""The kernel holds the square of them, 4 bytes each: 2.5 GB."""
MAX_TEXTS_AT_ONCE = 1024
SCALES = np.geomspace(1, 100, 80)


def train(
    examples: Sequence[Example], encoder: Encoder, say: Callable[[str], None] = lambda _: None
) -> IntentClassifier:
    """Train on examples.

    Raises:
        IntentsInvalid: Fewer than two intents, or more examples than fit into memory.
    """
    labels = sorted({one.intent for one in examples if one.intent is not None})
    _refuse(examples, labels)
    say(f"encoding {len(examples)} messages")
    texts = [one.text for one in examples]
    vectors = views(texts, encoder)
    space = FeatureSpace.fit(texts, vectors)
    rows = space.rows(texts, vectors)
    classes = np.array([len(labels) if one.intent is None else labels.index(one.intent) for one in examples])
    outside = classes == len(labels)
    targets = np.eye(len(labels) + bool(outside.any()), dtype=np.float32)[classes]
    say(f"training on {len(labels)} intents")
    # What a message far from everything gets is 0, so the targets are centred.
    fitted = fit(rows, targets - np.float32(1 / targets.shape[1]))
    seen = fitted.left_out[:, : len(labels)]
    best = seen.argmax(axis=1)
    signals = signals_of(fitted.left_out, len(labels), _nearness_to_others(rows, ~outside))
    boundary = OutOfScope.fit(signals, outside, best == classes)
    scores = boundary.scores(signals)
    report = measure(examples, decided(labels, best, scores > boundary.threshold), scores)
    manifest = IntentManifest(
        encoder_sha256=encoder.sha256,
        labels=tuple(labels),
        scale=_scale(seen[~outside], classes[~outside]),
        out_of_scope=boundary,
        examples=len(examples),
        out_of_scope_examples=int(outside.sum()),
        data_sha256=examples_sha256(examples),
        metrics=asdict(report),
    )
    return IntentClassifier(manifest, examples, space, vectors, fitted.weights, encoder)


def _refuse(examples: Sequence[Example], labels: Sequence[str]) -> None:
    if len(labels) < 2:
        named = f"only {labels[0]!r}" if labels else "no intent"
        raise IntentsInvalid(f"The examples name {named}; a classifier needs at least two intents")
    if len(examples) > MAX_EXAMPLES:
        raise IntentsInvalid(
            f"There are {len(examples)} examples; at most {MAX_EXAMPLES} fit into memory. Keep fewer of each intent."
        )


def _nearness_to_others(rows: Vectors, inside: NDArray[np.bool_]) -> Vectors:
    """Nearness of each example to those in scope, itself left out."""
    near = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), MAX_TEXTS_AT_ONCE):
        part = np.arange(start, min(start + MAX_TEXTS_AT_ONCE, len(rows)))
        similarity = rows[part] @ rows.T
        similarity[np.arange(len(part)), part] = -1
        near[part] = nearness(similarity[:, inside])
    return near


def _scale(outputs: Vectors, classes: NDArray[np.int64]) -> float:
    """The scale under which the left-out examples are likeliest."""
    own = np.arange(len(classes))

    def loss(scale: float) -> float:
        return -float(np.log(probabilities(outputs, scale)[own, classes] + 1e-12).mean())

    return float(min(SCALES, key=loss))
