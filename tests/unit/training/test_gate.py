"""The gate: what is no worse passes, what is worse does not, and too little evidence is said to be that."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.brand import Gate, GateFloors, GateMargins
from training.judging.gate import ALPHA, ALWAYS, KINDS, Measured, improvement_bound, judge

CASES = 160
Draw = Callable[[np.random.Generator], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def measured(cases: int = CASES, seed: int = 0, **means: float) -> dict[str, dict[str, float]]:
    """Cases of measures, spread around their means."""
    generator = np.random.default_rng(seed)
    return {
        name: {f"q{number}": mean + float(spread) for number, spread in enumerate(generator.uniform(-0.1, 0.1, cases))}
        for name, mean in {"voice": 0.8, "groundedness": 0.8, **means}.items()
    }


def moved(values: Measured, name: str, by: float) -> dict[str, dict[str, float]]:
    """The same, one measure moved in every case."""
    return {key: {case: value + by * (key == name) for case, value in cases.items()} for key, cases in values.items()}


def test_every_measure_has_a_margin_and_a_floor_of_its_name() -> None:
    assert set(KINDS) == set(GateMargins.model_fields) == set(GateFloors.model_fields)
    assert set(ALWAYS) <= set(KINDS)


@settings(max_examples=60)
@given(data=st.data())
def test_a_candidate_equal_to_the_current_version_passes(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(KINDS))))
    values = st.floats(0.5, 1, allow_nan=False)
    same = {
        name: dict(enumerate_cases(data.draw(st.lists(values, min_size=CASES, max_size=CASES))))
        for name in {*names, *ALWAYS} - {"leak"}
    }
    verdict = judge(same, same)
    assert verdict.passed, verdict.reasons
    assert all(one.worst == 0 for one in verdict.measures)


def enumerate_cases(values: list[float]) -> list[tuple[str, float]]:
    return [(f"q{number}", value) for number, value in enumerate(values)]


@pytest.mark.parametrize("name", sorted(set(KINDS)))
def test_a_clearly_worse_candidate_is_refused_and_the_measure_is_named(name: str) -> None:
    now = measured(**{name: 0.8})
    kind = KINDS[name]
    worse = moved(now, name, 0.4 if kind.less_is_better else -0.4)
    verdict = judge(worse, now, Gate(floors=GateFloors(leak=None)))
    assert verdict.verdict == "refused"
    assert verdict.reasons[0].startswith(f"{kind.words}: 0.")
    assert "beyond the margin of" in verdict.reasons[0]
    better = moved(now, name, -0.4 if kind.less_is_better else 0.4)
    assert judge(better, now, Gate(floors=GateFloors(leak=None))).passed


def test_worse_by_the_margin_in_every_case_is_refused_and_by_less_is_not() -> None:
    now = measured()
    assert judge(moved(now, "voice", -0.05), now).verdict == "refused"
    assert judge(moved(now, "voice", -0.049), now).passed


def test_the_floor_holds_whatever_speaks_now() -> None:
    poor = measured(voice=0.4)
    verdict = judge(poor, poor)
    assert verdict.verdict == "refused"
    assert "is below the floor of 0.500" in verdict.reasons[0]
    assert judge(poor, poor, Gate(floors=GateFloors(voice=0.3))).passed
    leaky = measured(leak=0.2)
    assert "is above the floor of 0.020" in judge(leaky, leaky).reasons[0]


@pytest.mark.parametrize("by", [-0.4, 0, 0.4])
def test_fewer_than_150_cases_are_not_enough_evidence(by: float) -> None:
    now = measured(149)
    verdict = judge(moved(now, "voice", by), now)
    assert verdict.verdict == "not enough evidence"
    assert verdict.reasons[0] == "149 cases, where 150 are needed for a verdict"
    assert judge(measured(150), measured(150)).passed
    with pytest.raises(ValueError, match="greater than or equal to 150"):
        Gate(min_cases=149)


def test_general_questions_do_not_count_as_cases_of_the_brand() -> None:
    now = {**measured(100), "general": {f"g{number}": 1.0 for number in range(200)}}
    assert judge(now, now).cases == 100
    assert judge(now, now).verdict == "not enough evidence"


def test_a_measure_of_few_cases_and_one_that_was_not_measured_are_not_enough_evidence() -> None:
    now = {**measured(), "refusal": {f"q{number}": 1.0 for number in range(29)}}
    verdict = judge(now, now)
    assert (verdict.verdict, verdict.reasons) == (
        "not enough evidence",
        ("unanswerable questions refused: 29 cases, where a measure needs 30",),
    )
    silent = {"voice": measured()["voice"]}
    assert judge(silent, silent).reasons == ("groundedness: not measured",)
    assert judge(measured(), measured(), Gate(floors=GateFloors(leak=None))).passed
    asked = Gate(margins=GateMargins(handoff=0.1))
    assert judge(measured(), measured(), asked).reasons == ("hand-offs decided right: not measured",)


def test_a_clear_loss_refuses_where_another_measure_lacks_cases() -> None:
    now = {**measured(), "refusal": {f"q{number}": 1.0 for number in range(29)}}
    assert judge(moved(now, "voice", -0.4), now).verdict == "refused"


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_cases_and_measures_does_not_matter(seed: int) -> None:
    now, then = measured(seed=1, overlap=0.6), measured(seed=2, overlap=0.6)

    def shuffled(values: Measured) -> dict[str, dict[str, float]]:
        generator = np.random.default_rng(seed)
        names = generator.permutation(sorted(values)).tolist()
        return {
            name: {case: values[name][case] for case in generator.permutation(sorted(values[name]))} for name in names
        }

    assert judge(shuffled(then), shuffled(now)) == judge(then, now)


def test_another_measure_does_not_move_a_bound() -> None:
    now, then = measured(seed=1), measured(seed=2)
    alone = judge(then, now)
    beside = judge({**then, "overlap": then["voice"]}, {**now, "overlap": now["voice"]})
    assert alone.measures == beside.measures[:2]


def test_a_share_of_the_current_is_compared_where_the_measure_is_relative() -> None:
    now = {**measured(), "first_token_ms": {f"q{n}": 100.0 + n % 7 for n in range(CASES)}}
    slower = {**now, "first_token_ms": {case: value * 1.15 for case, value in now["first_token_ms"].items()}}
    verdict = judge(slower, now)
    finding = next(one for one in verdict.measures if one.measure == "first_token_ms")
    assert verdict.passed
    assert finding.difference == finding.worst == pytest.approx(0.15, abs=1e-6)
    assert "at worst 15.0% higher" in finding.reason
    slow = {**now, "first_token_ms": {case: value * 1.25 for case, value in now["first_token_ms"].items()}}
    assert judge(slow, now).verdict == "refused"


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ({"voice": {"q0": float("nan")}}, "'q0' has a value that is not a number"),
        ({"voice": {"q0": float("inf")}}, "'q0' has a value that is not a number"),
        ({"voice": {"q1": 1.0}}, "2 cases of one side only, such as 'q0'"),
        ({"charm": {"q0": 1.0}}, "there is no measure 'charm'"),
    ],
)
def test_what_cannot_be_compared_is_an_error(candidate: Measured, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(candidate, {"voice": {"q0": 1.0}})


def test_the_json_of_a_verdict_keeps_its_shape() -> None:
    now = measured()
    told = judge(now, now, candidate_name="acme@2", current_name="acme@1").as_json()
    assert json.loads(json.dumps(told)) == told
    assert list(told) == ["verdict", "candidate", "current", "cases", "reasons", "measures"]
    assert told["reasons"] == ["no worse than acme@1 on 2 measures, by 160 cases"]
    assert list(told["measures"][0]) == [
        "measure", "verdict", "reason", "cases", "current", "candidate", "difference", "worst", "margin", "floor",
        "less_is_better", "relative",
    ]  # fmt: skip


# --- the test keeps its promise: simulations, seeded ----------------------------------------------------------------


def steady(generator: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Worse by 0.05 on average, normally spread."""
    now = generator.random(150)
    return now - 0.05 + generator.normal(0, 0.2, 150), now


def rare(generator: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """One case in twenty is lost, none is won."""
    now = np.ones(150)
    return now - (generator.random(150) < 0.05), now


def mixed(generator: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """One case in ten is lost, one in twenty won."""
    drawn = generator.random(150)
    now = np.where(drawn < 0.1, 1.0, np.where(drawn < 0.15, 0.0, (generator.random(150) < 0.5) * 1.0))
    return now - (drawn < 0.1) + ((drawn >= 0.1) & (drawn < 0.15)), now


def heavy(generator: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Many small losses, few large ones."""
    now = generator.random(150)
    return now - generator.exponential(0.05, 150), now


@pytest.mark.parametrize("draw", [steady, rare, mixed, heavy])
def test_a_candidate_that_is_worse_by_the_margin_passes_about_one_time_in_twenty(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.judging.gate.RESAMPLES", 800)
    generator = np.random.default_rng(7)
    passed = sum(improvement_bound(*draw(generator), seed=number) > -0.05 for number in range(400))
    # Three standard errors of a share of 0.05 among 400 are 0.033.
    assert abs(passed / 400 - ALPHA) < 0.033


def test_a_candidate_that_is_as_good_mostly_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.judging.gate.RESAMPLES", 800)
    generator = np.random.default_rng(7)
    passed = 0
    for number in range(200):
        now = generator.random(150)
        passed += improvement_bound(now + generator.normal(0, 0.2, 150), now, seed=number) > -0.05
    assert passed / 200 > 0.8
