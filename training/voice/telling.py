"""Tell brands apart by how they speak, with the subject masked: nothing but the standard library."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from training.voice.masking import CONTRACTION, MASK


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the voice was told, with its 95 % interval."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """0 to 1; 0 where nothing was tested."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the share. Source: Wilson, JASA 22(158), 1927."""
        if not self.total:
            return 0.0, 1.0
        z = 1.96
        n, p = self.total, self.share
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)


class VoiceClassifier:
    """Naive Bayes over the presence of word 1-2-grams and marks of tone.

    Source: Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, chapter 13.3.
    """

    def __init__(self, masked: Mapping[str, Sequence[str]]) -> None:
        """Learn from masked replies.

        Args:
            masked: Label to masked replies; two labels or more, each with a reply.
        """
        if len(masked) < 2 or not all(masked.values()):
            raise ValueError("a voice is told from another: give masked replies of two brands or more")
        self._counts = {
            label: Counter(one for text in texts for one in features(text)) for label, texts in masked.items()
        }
        self._texts = {label: len(texts) for label, texts in masked.items()}

    def scores(self, masked: str) -> dict[str, float]:
        """Log-likelihood by label, over the features that a text holds; labels count as equally frequent."""
        held = features(masked)
        known = [one for one in sorted(held) if any(counts[one] for counts in self._counts.values())]
        return {
            label: sum(math.log((counts[one] + 0.5) / (self._texts[label] + 1)) for one in known)
            for label, counts in self._counts.items()
        }

    def tell(self, masked: str) -> str:
        """The label whose voice it is most likely to be; on a tie the first by name."""
        scores = self.scores(masked)
        return max(sorted(scores), key=scores.__getitem__)

    def accuracy(self, masked: Mapping[str, Sequence[str]]) -> Accuracy:
        """How often the label is told from masked replies."""
        told = [self.tell(text) == label for label, texts in masked.items() for text in texts]
        return Accuracy(sum(told), len(told))


def two_way_accuracy(train: Mapping[str, Sequence[str]], test: Mapping[str, Sequence[str]]) -> Accuracy:
    """How often a classifier trained on the brands' own masked replies tells whose the tested ones are.

    Args:
        train: Brand to masked replies of its conversations.
        test: Brand to masked replies under test; about half are told by chance if both speak alike.
    """
    return VoiceClassifier(train).accuracy(test)


def features(masked: str) -> frozenset[str]:
    """Which 1-2-grams and marks of tone a masked text holds."""
    tokens = masked.split()
    grams = {token for token in tokens if token != MASK}
    grams |= {f"{first} {second}" for first, second in pairwise(tokens)}
    if CONTRACTION.search(masked):
        grams.add("<contraction>")
    if "!" in masked:
        grams.add("<exclamation>")
    grams.add(f"<opens> {tokens[0]}" if tokens else "<empty>")
    return frozenset(grams)
