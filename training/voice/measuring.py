"""How well a voice model holds on replies that it did not see: cross-fitted scores, AUC with interval, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.voice.features import Values
from training.voice.model import Text, VoiceModel, groups_of, learn
from training.voice.neutral import neutral_replies

FOLDS = 5
RESAMPLES = 2000
SEED = 1701
BINS = 10


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Scores of texts by models that saw neither them nor any text of their group."""

    own: tuple[float, ...]
    groups: tuple[int, ...]
    """Of each of the brand's own."""
    neutral: tuple[float, ...]
    others: Mapping[str, tuple[float, ...]]
    """By name; no model was trained on any of these."""


@dataclass(frozen=True, slots=True)
class Area:
    """Area under the ROC curve, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def held_out(
    texts: Sequence[Text],
    others: Mapping[str, Sequence[str]],
    *,
    guide: str = "",
    brand_terms: Sequence[str] = (),
    pages: Sequence[str] = (),
) -> HeldOut:
    """Score each fifth of the texts by a model of the other four; others in turn by each of the five models.

    Args:
        texts: The brand's own; those of one group stay on one side.
        others: Texts of others, by name.
        guide: As for `learn`; so are the two below.
        brand_terms: Names.
        pages: Their content words are hidden.
    """
    groups, neutral = groups_of(texts), neutral_replies()
    own, nobody = np.zeros(len(texts)), np.zeros(len(neutral))
    foreign = {name: np.zeros(len(theirs)) for name, theirs in others.items()}
    for fold in range(FOLDS):
        model = learn(
            [text for text, group in zip(texts, groups, strict=True) if group % FOLDS != fold],
            guide=guide,
            brand_terms=brand_terms,
            pages=pages,
            neutral=[text for at, text in enumerate(neutral) if at % FOLDS != fold],
        )
        _fill(own, [at for at, group in enumerate(groups) if group % FOLDS == fold], model, [t.content for t in texts])
        _fill(nobody, range(fold, len(neutral), FOLDS), model, neutral)
        for name, theirs in others.items():
            _fill(foreign[name], range(fold, len(theirs), FOLDS), model, theirs)
    return HeldOut(
        tuple(own.tolist()),
        tuple(groups),
        tuple(nobody.tolist()),
        {name: tuple(scores.tolist()) for name, scores in foreign.items()},
    )


def area(own: Sequence[float], groups: Sequence[int], others: Sequence[float]) -> Area:
    """How often a text of the brand scores above another, ties counted half.

    The interval comes from drawing groups of the brand's texts, and single other texts, anew; one seed, so that equal
    input gives an equal interval.
    """
    above = np.asarray(own)[:, None] - np.asarray(others)
    wins = (above > 0) + 0.5 * (above == 0)
    random = np.random.default_rng(SEED)
    members = np.asarray(groups)
    count = int(members.max()) + 1
    drawn = random.multinomial(count, np.full(count, 1 / count), RESAMPLES)[:, members].astype(float)
    theirs = random.multinomial(len(others), np.full(len(others), 1 / len(others)), RESAMPLES) / len(others)
    areas = ((drawn @ wins) * theirs).sum(axis=1) / drawn.sum(axis=1)
    low, high = np.percentile(areas, [2.5, 97.5])
    return Area(float(wins.mean()), float(low), float(high))


def calibration_error(own: Sequence[float], others: Sequence[float]) -> float:
    """Mean distance of score and truth over ten bins of equal width, both sides weighing the same.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    scores = np.asarray([*own, *others])
    weight = np.asarray([0.5 / len(own)] * len(own) + [0.5 / len(others)] * len(others))
    truth = np.arange(len(scores)) < len(own)
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = [abs(float((weight * (scores - truth))[bins == one].sum())) for one in range(BINS)]
    return float(sum(gaps))


def _fill(into: Values, places: Sequence[int], model: VoiceModel, texts: Sequence[str]) -> None:
    for at in places:
        into[at] = model.score(texts[at]).score
