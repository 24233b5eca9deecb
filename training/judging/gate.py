"""Whether a candidate may take the current adapter's place: arithmetic on measured cases, no engine.

A test of non-inferiority. For each measure, the candidate's difference to the current version is taken case by case;
the one-sided 95 % lower bound of its mean (paired bootstrap) must lie above minus the brand's margin, and the
candidate's mean must hold the floor. All measures must pass, so that no correction for their number is needed: to let a
candidate through that is worse on any of them by its margin or more, that one test must err.

Sources: Efron, "Better bootstrap confidence intervals", Journal of the American Statistical Association 82(397), 1987;
Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24(4), 1982 (intersection-union).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from configs.brand import Gate
from configs.cases import MIN_CASES_A_MEASURE

Values = NDArray[np.float64]
Measured = Mapping[str, Mapping[str, float]]
"""Of each measure, the value of each case by its id; a yes or no counts as 1 or 0."""
Outcome = Literal["passed", "refused", "not enough evidence"]
ALPHA = 0.05
RESAMPLES = 5000
SEED = 1701
ALWAYS = ("voice", "groundedness")
"""No verdict passes without these."""
_ROUNDING = 1e-6
"""Findings are rounded to this."""
_SAME = 1e-12
_DRAWN_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """How a measure is read."""

    words: str
    less_is_better: bool = False
    relative: bool = False
    """Whether the difference, and so the margin, is a share of the current version's mean."""
    of_the_brand: bool = True
    """Whether its cases are the brand's own held-out ones."""


KINDS: Mapping[str, Kind] = {
    "voice": Kind("voice score"),
    "groundedness": Kind("groundedness"),
    "facts": Kind("right facts given"),
    "citation_precision": Kind("citation precision"),
    "citation_recall": Kind("citation recall"),
    "refusal": Kind("unanswerable questions refused"),
    "false_refusal": Kind("answerable questions refused", less_is_better=True),
    "handoff": Kind("hand-offs decided right"),
    "intent": Kind("intents told right"),
    "overlap": Kind("overlap with the references"),
    "leak": Kind("replies that give training text away", less_is_better=True),
    "general": Kind("general questions answered right", of_the_brand=False),
    "general_loss": Kind("loss on general text", less_is_better=True, relative=True, of_the_brand=False),
    "prompt_tokens": Kind("tokens of a prompt", less_is_better=True, relative=True),
    "first_token_ms": Kind("time to the first token in ms", less_is_better=True, relative=True),
    "tokens_per_s": Kind("tokens a second", relative=True),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The gate's word on one measure. What was not measured is None."""

    measure: str
    verdict: Outcome
    reason: str
    """In words, also where it passed."""
    cases: int
    current: float | None
    """Mean of the version that speaks now."""
    candidate: float | None
    difference: float | None
    """Candidate minus current; a share of the current mean where `relative`."""
    worst: float | None
    """The one-sided 95 % bound of the difference on the bad side: lower, or upper where less is better."""
    margin: float
    floor: float | None
    """At least this; at most this where less is better."""
    less_is_better: bool
    relative: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may speak, and why."""

    verdict: Outcome
    candidate: str
    current: str
    cases: int
    """Different held-out cases of the brand."""
    reasons: tuple[str, ...]
    """What stands against it, or one line that it passed."""
    measures: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may speak."""
        return self.verdict == "passed"

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON types; its keys are a promise to programs."""
        return asdict(self) | {"reasons": list(self.reasons), "measures": [asdict(one) for one in self.measures]}


def judge(
    candidate: Measured,
    current: Measured,
    settings: Gate | None = None,
    *,
    candidate_name: str = "the candidate",
    current_name: str = "the current version",
) -> Verdict:
    """Judge a candidate by the cases that both were asked; neither the order of cases nor of measures matters.

    Args:
        candidate: What the candidate did.
        current: What speaks now did; base and voice guide where nothing does.
        settings: Margins and floors of the brand; the defaults where absent.
        candidate_name: Such as `velmora@4`, for the reasons.
        current_name: Such as `velmora@3` or `base + voice guide`.

    Raises:
        ValueError: An unknown measure, a case that only one side has, or a value that is not a finite number.
    """
    gate = settings or Gate()
    _check(candidate, current)
    floors = {name for name in gate.floors.model_fields_set if getattr(gate.floors, name) is not None}
    named = gate.margins.model_fields_set | floors | set(ALWAYS)
    findings = tuple(
        _finding(name, candidate.get(name, {}), current.get(name, {}), gate, current_name)
        for name in KINDS
        if name in named or candidate.get(name)
    )
    own = {case for name, values in candidate.items() if KINDS[name].of_the_brand for case in values}
    reasons = [one.reason for one in findings if one.verdict != "passed"]
    if len(own) < gate.min_cases:
        few = f"{_count(len(own), 'case')}, where {gate.min_cases} are needed for a verdict"
        outcome: Outcome = "not enough evidence"
        reasons = [few, *reasons]
    elif any(one.verdict == "refused" for one in findings):
        outcome = "refused"
    else:
        outcome = "not enough evidence" if reasons else "passed"
    if not reasons:
        reasons = [f"no worse than {current_name} on {len(findings)} measures, by {len(own)} cases"]
    return Verdict(outcome, candidate_name, current_name, len(own), tuple(reasons), findings)


def improvement_bound(candidate: Values, current: Values, *, relative: bool = False, seed: int = SEED) -> float:
    """The one-sided 95 % lower bound of the mean of candidate minus current, by a paired bootstrap.

    Args:
        candidate: [cases].
        current: [cases], of the same cases.
        relative: As a share of the mean of current.
        seed: The same gives the same bound, in whatever order the cases come.
    """
    order = np.lexsort((candidate, current))
    difference, base = (candidate - current)[order], current[order]
    cases = len(difference)
    scale = float(np.abs(base.mean())) if relative else 1.0
    seen = float(difference.mean()) / scale
    # What each case adds to the figure: its influence. None differs where all cases move by the same.
    influence = (difference - seen * base) / scale if relative else difference - seen
    if float(np.abs(influence).max()) < _SAME:
        return seen
    random = np.random.default_rng(seed)
    means = []
    for size in _chunks(cases):
        drawn = random.integers(0, cases, (size, cases))
        found = difference[drawn].mean(axis=1)
        means.append(found / np.abs(base[drawn].mean(axis=1)) if relative else found)
    return float(np.quantile(np.concatenate(means), _share_below(np.concatenate(means), seen, influence)))


def _share_below(means: Values, seen: float, influence: Values) -> float:
    """Which share of the resampled means lies below the bound: 5 %, corrected for bias and skewness (BCa).

    Without it, a candidate that loses rarely and wins never passes too often: twice as often as it may.
    """
    normal = NormalDist()
    below = float(((means < seen - _SAME) + 0.5 * (np.abs(means - seen) <= _SAME)).mean())
    bias = normal.inv_cdf(min(max(below, 1 / len(means)), 1 - 1 / len(means)))
    skew = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))
    shifted = bias + normal.inv_cdf(ALPHA)
    return normal.cdf(bias + shifted / (1 - skew * shifted))


def _finding(
    name: str, candidate: Mapping[str, float], current: Mapping[str, float], gate: Gate, current_name: str
) -> Finding:
    kind, cases = KINDS[name], sorted(candidate)
    after, before = (np.array([side[case] for case in cases], np.float64) for side in (candidate, current))
    finding = Finding(
        measure=name,
        verdict="not enough evidence",
        reason=f"{kind.words}: {_lacking(kind, before, current_name)}",
        cases=len(cases),
        current=round(float(before.mean()), 6) if cases else None,
        candidate=round(float(after.mean()), 6) if cases else None,
        difference=None,
        worst=None,
        margin=getattr(gate.margins, name),
        floor=getattr(gate.floors, name),
        less_is_better=kind.less_is_better,
        relative=kind.relative,
    )
    if _lacking(kind, before, current_name):
        return finding
    sign = -1 if kind.less_is_better else 1
    seed = zlib.crc32(name.encode()) ^ SEED
    worst = sign * improvement_bound(sign * after, sign * before, relative=kind.relative, seed=seed)
    difference = float((after - before).mean()) / (abs(float(before.mean())) if kind.relative else 1)
    finding = replace(finding, difference=round(difference, 6), worst=round(worst, 6))
    mean = float(after.mean())
    numbers = _numbers(kind, float(before.mean()), mean, worst)
    against = []
    if sign * worst <= -finding.margin + _ROUNDING:
        against.append(f"{numbers}, beyond the margin of {_amount(finding.margin, kind)}")
    if finding.floor is not None and sign * (mean - finding.floor) < -_ROUNDING:
        against.append(f"{mean:.3f} is {'above' if kind.less_is_better else 'below'} the floor of {finding.floor:.3f}")
    verdict: Outcome = "refused" if against else "passed"
    return replace(finding, verdict=verdict, reason=f"{kind.words}: {'; '.join(against) or numbers}")


def _lacking(kind: Kind, before: Values, current_name: str) -> str:
    """What is missing for a word on this measure; empty where nothing is."""
    if not len(before):
        return "not measured"
    if len(before) < MIN_CASES_A_MEASURE:
        return f"{_count(len(before), 'case')}, where a measure needs {MIN_CASES_A_MEASURE}"
    if kind.relative and not before.mean():
        return f"0 for {current_name}, so that no share of it can be taken"
    return ""


def _numbers(kind: Kind, before: float, after: float, worst: float) -> str:
    """Both means, and the worst that the difference may be."""
    told = f"{before:.3f} now, {after:.3f} with the candidate"
    gain = -worst if kind.less_is_better else worst
    if gain == 0:
        return f"{told}, no worse"
    if gain > 0:
        return f"{told}, at least {_amount(gain, kind)} better"
    return f"{told}, at worst {_amount(-gain, kind)} {'higher' if kind.less_is_better else 'lower'}"


def _amount(value: float, kind: Kind) -> str:
    return f"{value:.1%}" if kind.relative else f"{value:.3f}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def _check(candidate: Measured, current: Measured) -> None:
    for name in sorted({*candidate, *current} - set(KINDS)):
        raise ValueError(f"there is no measure {name!r}; there are {', '.join(KINDS)}")
    for name in sorted({*candidate, *current}):
        theirs, ours = candidate.get(name, {}), current.get(name, {})
        lonely = sorted(theirs.keys() ^ ours.keys())
        if lonely:
            raise ValueError(f"{name}: {_count(len(lonely), 'case')} of one side only, such as {lonely[0]!r}")
        for case in sorted(theirs):
            if not (math.isfinite(theirs[case]) and math.isfinite(ours[case])):
                raise ValueError(f"{name}: the case {case!r} has a value that is not a number")


def _chunks(cases: int) -> Iterator[int]:
    """Resamples at a time, so that many cases do not need much memory."""
    left = RESAMPLES
    while left:
        size = min(left, max(1, _DRAWN_AT_ONCE // cases))
        yield size
        left -= size
