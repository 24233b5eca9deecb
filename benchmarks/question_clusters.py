"""How well refused questions are grouped, by the line from which on two groups are one.

    python -m benchmarks.question_clusters [ENCODER_FOLDER]

Beside ours stands HDBSCAN (scikit-learn), which wants no line, on the same vectors.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from configs.home import Home
from retrieval.clustering import ALIKE, clusters
from retrieval.encoder import OnnxEncoder, Vectors

FILE = Path(__file__).with_suffix(".yaml")
LINES = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


@dataclass(frozen=True, slots=True)
class Set:
    """Questions with the topic of each."""

    questions: tuple[str, ...]
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grouped:
    """How good groups are; all of 0 to 1 but the count."""

    purity: float
    """Share of questions that are in a group of mostly their topic."""
    together: float
    """Share of questions that are in the largest part of their topic: what one page answers at once."""
    groups: int


def read_set(file: Path = FILE) -> Set:
    """The questions; one alone is a topic of its own."""
    data = yaml.safe_load(file.read_text("utf-8"))
    pairs = [(question, topic) for topic, questions in data["topics"].items() for question in questions]
    pairs += [(question, f"alone: {question}") for question in data["alone"]]
    return Set(tuple(question for question, _ in pairs), tuple(topic for _, topic in pairs))


def measure(groups: Sequence[Sequence[int]], topics: Sequence[str]) -> Grouped:
    """Compare groups with topics."""
    largest = [max(Counter(topics[place] for place in group).values()) for group in groups]
    parts = [Counter(topics[place] for place in group) for group in groups]
    together = sum(max(part[topic] for part in parts) for topic in set(topics))
    return Grouped(sum(largest) / len(topics), together / len(topics), len(groups))


def embedded(encoder: OnnxEncoder, questions: Sequence[str]) -> Vectors:
    """[n, dim], as the gateway embeds them."""
    return np.vstack([encoder.encode_query(question) for question in questions])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure how refused questions are grouped.")
    parser.add_argument("encoder", nargs="?", type=Path, default=Home.from_environment({}).models / "all-minilm-l6-v2")
    encoder = OnnxEncoder.load(parser.parse_args().encoder)
    held = read_set()
    began = time.perf_counter()
    vectors = embedded(encoder, held.questions)
    print(f"{len(held.questions)} questions of {len(set(held.topics))} topics, embedded in "
          f"{time.perf_counter() - began:.2f} s")  # fmt: skip
    print("| way | purity | together | groups |\n|---|---:|---:|---:|")
    for line in LINES:
        found = measure(clusters(vectors, alike=line), held.topics)
        mark = ", ours" if line == ALIKE else ""
        print(f"| average linkage, {line:.2f}{mark} | {found.purity:.3f} | {found.together:.3f} | {found.groups} |")
    found = measure(_hdbscan(vectors), held.topics)
    print(f"| HDBSCAN, at least 2 | {found.purity:.3f} | {found.together:.3f} | {found.groups} |")
    many = np.random.default_rng(0).standard_normal((500, vectors.shape[1])).astype(np.float32)
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    began = time.perf_counter()
    clusters(many, alike=-1.0)
    print(f"\n500 vectors, joined to the end: {(time.perf_counter() - began) * 1000:.0f} ms")


def _hdbscan(vectors: Vectors) -> list[list[int]]:
    from sklearn.cluster import HDBSCAN

    labels = HDBSCAN(min_cluster_size=2, metric="cosine", copy=True).fit_predict(vectors.astype(np.float64))
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        # What belongs to no cluster is alone.
        groups.setdefault(int(label) if label >= 0 else -1 - place, []).append(place)
    return list(groups.values())


if __name__ == "__main__":
    main()
