"""Whether a voice has drifted: the mean score of now beside that of when the version was new.

An alarm needs two things: that the mean fell by more than `drop`, and that chance does not explain it. Answers differ
much more than days do, so the line lies `SURE` standard errors of the difference (Welch, 1947) below `baseline - drop`.
Scores are of one answer a conversation, so that they are as good as independent; with 30 or more of each the mean of
values between 0 and 1 is near enough to normal. It is looked at every hour, but the time that is looked at moves by a
day at a time, and consecutive ones share most of their answers: what that costs is counted by simulation
(tests/unit/service/retraining/test_rule.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.retraining import DriftAlarm

SURE = 2.6
"""Standard errors: one look in 200 says yes of a voice that fell by just `drop`; of one that did not fall, fewer."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Of scores."""

    mean: float
    error: float
    """Its standard error."""
    answers: int

    @classmethod
    def of(cls, scores: Sequence[float]) -> Mean:
        """Of two scores or more."""
        values = np.asarray(scores, dtype=float)
        return cls(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)), len(values))


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of a voice."""

    baseline: Mean
    recent: Mean
    limit: float
    """Below it lies a mean that raises the alarm."""
    back: float
    """An alarm that was raised is over once the mean reaches this."""

    def alarm(self, *, raised: bool) -> bool:
        """Whether there is one; `raised` says whether there was one before."""
        return self.recent.mean < (self.back if raised else self.limit)


def judge(baseline: Sequence[float], recent: Sequence[float], rule: DriftAlarm) -> Finding | None:
    """Compare two times; None where one of them has too few answers."""
    if min(len(baseline), len(recent)) < rule.answers:
        return None
    before, after = Mean.of(baseline), Mean.of(recent)
    back = before.mean - rule.drop
    return Finding(before, after, back - SURE * math.hypot(before.error, after.error), back)
