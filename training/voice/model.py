"""One brand's voice: what a text scores against it, and why."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from configs.brand import Strict
from retrieval import logistic
from training.errors import VoiceUnlearnable
from training.voice import scorer
from training.voice.features import BUCKETS, CLOSED, WIDTH, Values, features, tokens_of, word_grams
from training.voice.marks import Reading, read
from training.voice.masking import hidden_words
from training.voice.neutral import neutral_replies
from training.voice.profile import Deviation, Profile, deviations, learn_profile, speaks_the_language

SCHEMA = 1
"""Raise it when the same inputs would give another model, so that kept ones are made anew."""
LEAST_TEXTS = 30
MOST_TEXTS = 1000
"""More are thinned out evenly: fitting takes the cube of their number."""
MAX_CHARS = 20_000
"""Of a longer text the beginning is read."""
SHORT = 4
"""Words below which a score is little more than a guess."""
SHOWN_WORDS = 3
FOLDS = 5
_TOLD_LENGTHS = range(4, 31)
"""Letters of a word that is worth naming."""
_NOT_TEXT = 0.1
"""Share of characters that no text has, from which on it is none."""


@dataclass(frozen=True, slots=True)
class VoiceScore:
    """How a text sounds."""

    score: float
    """0 to 1: how likely the brand wrote it, were its texts and others' equally frequent."""
    reasons: tuple[str, ...]
    """What speaks against the brand, or for it; what tells most first."""


class Text(Strict):
    """A text of the brand."""

    content: str
    group: str
    """Texts of one group, such as a conversation, are alike: none is judged by a model that saw another."""


class Calibration(Strict):
    """How the scorer's logit and the profile's deviations become one probability.

    Fitted on texts that neither had seen. Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """

    slope: float
    penalty: float = Field(ge=0)
    """Logits that a deviation of weight 1 costs."""
    offset: float

    def logit(self, logit: float, amiss: Sequence[Deviation]) -> float:
        """Calibrated logit; above 0 the brand is the likelier writer."""
        told = self.slope * logit - self.penalty * sum(one.weight for one in amiss) + self.offset
        return max(-30.0, min(30.0, told))


class VoiceModel(Strict):
    """A brand's profile with its scorer; a small JSON file."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    inputs_sha256: str
    profile: Profile
    hidden: tuple[str, ...]
    """Words that say what the brand's texts are about."""
    calibration: Calibration
    intercept: float
    weights: Annotated[tuple[float, ...], Field(min_length=WIDTH, max_length=WIDTH, repr=False)]

    def score(self, text: str) -> VoiceScore:
        """How much a text sounds like the brand; any text will do, what cannot be judged scores 0 and says why."""
        unreadable = _unreadable(text)
        if unreadable:
            return VoiceScore(0.0, (unreadable,))
        reading = read(text[:MAX_CHARS])
        notes = [] if len(text) <= MAX_CHARS else [f"longer than {MAX_CHARS} characters: only the beginning is judged"]
        if not speaks_the_language(reading.tokens, self.profile):
            return VoiceScore(0.0, (*notes, "hardly a word of the brand's language in it"))
        count = reading.marks.words
        if count < SHORT:
            notes.append(f"only {count} word{'s' * (count != 1)}: too short to judge surely")
        tokens = tokens_of(reading.text, self._hidden)
        logit = float(features(tokens, reading.marks) @ self._weights) + self.intercept
        amiss = deviations(reading, self.profile)
        score = 1 / (1 + math.exp(-self.calibration.logit(logit, amiss)))
        found = [*notes, *(one.reason for one in amiss), *self._words_that_tell(tokens, score)]
        return VoiceScore(round(score, 4), tuple(found))

    def _words_that_tell(self, tokens: Sequence[str], score: float) -> list[str]:
        """The words that weigh most for the verdict."""
        sign = 1 if score >= 0.5 else -1
        weights = self._weights
        worth: dict[str, float] = {}
        for token in tokens:
            if token[0].isalpha() and len(token) in _TOLD_LENGTHS:
                counts = word_grams(token)
                total = sum(weights[bucket] * count for bucket, count in counts.items())
                worth[token] = total / math.sqrt(sum(counts.values()))
                if token in CLOSED:
                    worth[token] += weights[BUCKETS + CLOSED.index(token)]
        best = sorted((word for word in worth if sign * worth[word] > 0), key=lambda word: (-sign * worth[word], word))
        if not best:
            return []
        shown = ", ".join(f"'{word}'" for word in best[:SHOWN_WORDS])
        return [f"words {'like' if sign > 0 else 'unlike'} the brand's: {shown}"]

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return frozenset(self.hidden)

    @cached_property
    def _weights(self) -> Values:
        return np.array(self.weights)


def learn(
    texts: Sequence[Text],
    *,
    guide: str = "",
    brand_terms: Sequence[str] = (),
    pages: Sequence[str] = (),
    neutral: Sequence[str] | None = None,
) -> VoiceModel:
    """Learn a brand's voice from its own texts; the others are the neutral ones that ship with the project.

    No other brand's texts are read, so that a score does not move when another brand comes or goes.

    Args:
        texts: The brand's own.
        guide: Its voice guide, which may name words to avoid.
        brand_terms: Names, which are no style.
        pages: What the texts rest on; their content words are no style.
        neutral: Nobody's texts; the shipped ones where absent.

    Raises:
        VoiceUnlearnable: Fewer than 30 texts.
    """
    if len(texts) < LEAST_TEXTS:
        raise VoiceUnlearnable(
            f"{len(texts)} texts of the brand are too few to know its voice; write {LEAST_TEXTS} replies or more"
        )
    count = min(len(texts), MOST_TEXTS)
    used = [texts[number * len(texts) // count] for number in range(count)]
    own = [read(one.content) for one in used]
    others = [read(text) for text in (neutral_replies() if neutral is None else neutral)]
    hidden = hidden_words(brand_terms, pages)
    rows = _rows([*own, *others], hidden)
    weights, intercept = scorer.fit(rows, np.arange(len(rows)) < len(own))
    return VoiceModel(
        inputs_sha256=inputs_sha256(texts, guide=guide, brand_terms=brand_terms, pages=pages),
        profile=learn_profile(own, guide, hidden, others),
        hidden=tuple(sorted(hidden)),
        calibration=_calibrate(rows, [*own, *others], groups_of(used), guide, hidden),
        intercept=round(intercept, 5),
        weights=tuple(round(float(one), 5) for one in weights),
    )


def _calibrate(
    rows: Values, readings: Sequence[Reading], groups: Sequence[int], guide: str, hidden: frozenset[str]
) -> Calibration:
    """Score each fifth by a scorer and a profile of the others, then fit a line through what they say.

    Args:
        rows: Features of the readings.
        readings: The brand's texts, then nobody's.
        groups: Of each of the brand's texts.
        guide: As for `learn`.
        hidden: The words that are no style.
    """
    own = len(groups)
    if len(set(groups)) < FOLDS:
        groups = range(own)
    labels = np.arange(len(rows)) < own
    folds = np.array([*groups, *range(len(rows) - own)]) % FOLDS
    seen = np.zeros((len(rows), 2))
    for fold in range(FOLDS):
        out = folds == fold
        weights, intercept = scorer.fit(rows[~out], labels[~out])
        kept = [readings[at] for at in np.flatnonzero(~out)]
        profile = learn_profile(kept[: sum(labels[~out])], guide, hidden, kept[sum(labels[~out]) :])
        seen[out, 0] = rows[out] @ weights + intercept
        seen[out, 1] = [-sum(one.weight for one in deviations(readings[at], profile)) for at in np.flatnonzero(out)]
    line = logistic.fit(seen, labels, ridge=1e-2)
    slope, penalty = (max(0.0, float(one)) for one in line.weights)
    return Calibration(slope=round(slope, 5), penalty=round(penalty, 5), offset=round(line.intercept, 5))


def _rows(readings: Sequence[Reading], hidden: frozenset[str]) -> Values:
    """[texts, WIDTH] features."""
    return np.vstack([features(tokens_of(one.text, hidden), one.marks) for one in readings])


def groups_of(texts: Sequence[Text]) -> list[int]:
    """A number for each group, in the order in which they appear."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(one.group, len(numbers)) for one in texts]


def inputs_sha256(texts: Sequence[Text], *, guide: str, brand_terms: Sequence[str], pages: Sequence[str]) -> str:
    """Digest of everything that a model is learnt from."""
    told = [[[one.group, one.content] for one in texts], guide, list(brand_terms), list(pages), neutral_replies()]
    return hashlib.sha256(json.dumps([SCHEMA, told]).encode()).hexdigest()


def read_model(path: Path, inputs: str) -> VoiceModel | None:
    """A kept model, where it was learnt from these inputs; None where there is none that can be used."""
    try:
        model = VoiceModel.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return model if model.inputs_sha256 == inputs else None


def _unreadable(text: str) -> str:
    """Why a text cannot be judged; empty where it can."""
    if not text.strip():
        return "empty: there is nothing to judge"
    beginning = text[:MAX_CHARS]
    strange = sum(one == "\ufffd" or (unicodedata.category(one) == "Cc" and one not in "\n\r\t") for one in beginning)
    if strange > _NOT_TEXT * len(beginning):
        return "not text: it is full of characters that no text has"
    if not any(one.isalpha() for one in beginning):
        return "no word in it"
    return ""
