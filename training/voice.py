"""Tell brands apart by how they speak, with the subject masked: no torch, no numpy, nothing but the standard library.

Numbers, brand names and the content words of the passages are masked, so that what is left is function words,
forms of address, contractions, punctuation and the phrases of the house.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

MASK = "_"
TOKEN = re.compile(r"[a-z]+(?:['\u2019][a-z]+)*|\d[\d.,:]*|[!?…]+|[\U0001F300-\U0001FAFF\u2600-\u27BF]", re.IGNORECASE)
CONTRACTION = re.compile(r"[a-z]+['\u2019](?:s|re|ve|ll|d|m|t)\b", re.IGNORECASE)
CLOSED_CLASS = (
    "a about after again all am an and any are as at be because been before being but by can cannot could did do "
    "does don't down during each few for from further had has have having he her here hers him his how i if in into "
    "is it its just kindly let may me might more most must my no nor not of off on once only or other our ours out "
    "over own please same shall she should so some such than that the their them then there these they this those "
    "through to too under until up us very was we were what when where which while who whom why will with would yes "
    "you your yours "
)
FUNCTION_WORDS = frozenset(CLOSED_CLASS.split())
"""Closed-class words: never masked, because they carry style and no subject."""


def mask(text: str, *, brand_terms: Iterable[str] = (), passages: Iterable[str] = ()) -> str:
    """Hide what a reply is about.

    Args:
        text: A reply.
        brand_terms: Names of brands and products; each of their words is hidden.
        passages: Texts that the reply rests on; each of their words is hidden, but for function words.

    Returns:
        The text in lower case, what is hidden replaced by `_`, runs of it by one.
    """
    hidden = {word for term in brand_terms for word in _words(term)}
    hidden |= {word for passage in passages for word in _words(passage) if word not in FUNCTION_WORDS}
    tokens: list[str] = []
    for token in _words(text):
        kept = MASK if token[0].isdigit() or token in hidden or token.removesuffix("'s") in hidden else token
        if kept != MASK or not tokens or tokens[-1] != MASK:
            tokens.append(kept)
    return " ".join(tokens)


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


def _words(text: str) -> list[str]:
    return [token.lower().replace("\u2019", "'") for token in TOKEN.findall(text)]
