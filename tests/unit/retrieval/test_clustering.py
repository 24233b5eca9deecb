"""Texts that say much the same come together, as scikit-learn's average linkage has it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.question_clusters import embedded, measure, read_set
from retrieval.clustering import ALIKE, clusters
from retrieval.encoder import OnnxEncoder, Vectors

MODELS = Path(os.environ.get("BRANDVOICE_HOME", Path(__file__).parents[3] / "var")).resolve() / "models"


def random_vectors(seed: int, count: int, middles: int) -> Vectors:
    """Unit vectors around some middles."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((middles, 16))
    rows = centres[random.integers(middles, size=count)] + 0.8 * random.standard_normal((count, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


@pytest.mark.parametrize("alike", [0.2, ALIKE, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_the_groups_are_those_of_average_linkage(seed: int, alike: float) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    vectors = random_vectors(seed, 80, 9)
    distances = np.clip(1 - vectors @ vectors.T, 0, None)
    theirs = cluster.AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1 - alike
    ).fit_predict(distances)
    ours = clusters(vectors, alike=alike)
    expected = {frozenset(np.flatnonzero(theirs == label).tolist()) for label in set(theirs)}
    assert {frozenset(group) for group in ours} == expected
    assert [len(group) for group in ours] == sorted((len(group) for group in ours), reverse=True)


def test_the_first_of_a_group_is_the_one_most_like_the_others() -> None:
    angles = np.array([0.0, 0.2, 0.4])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert clusters(vectors)[0][0] == 1


def test_none_and_one() -> None:
    assert clusters(np.zeros((0, 4), np.float32)) == []
    assert clusters(np.eye(4, dtype=np.float32)[:1]) == [[0]]


@pytest.mark.skipif(not (MODELS / "all-minilm-l6-v2").is_dir(), reason="the encoder is not prepared here")
def test_customers_questions_are_grouped_by_topic() -> None:
    held = read_set()
    vectors = embedded(OnnxEncoder.load(MODELS / "all-minilm-l6-v2"), held.questions)
    found = measure(clusters(vectors), held.topics)
    assert found.purity >= 0.98
    assert found.together >= 0.9
