"""No adapter speaks that the gate did not pass, but for one that somebody answers for by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.adapter_manifest import read_adapter
from configs.adapter_terms import Terms
from configs.brand import Brand, Gate
from configs.home import Home
from configs.load import load_config
from configs.verdict import Conditions, Judged, RecordedVerdict, gate_sha256, questions_sha256
from service.engines.adapters import active_version, install_shipped, promote, rollback
from service.engines.promotion import Override, evaluation_folder
from service.errors import AdapterUnknown, PromotionRefused, RequestInvalid

BASE = "f" * 64
SHIPPED = read_adapter(Path("samples/velmora/adapter")).version


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"id": "q1"}\n')
    return load_config(Path("configs"), {}).brands["velmora"].model_copy(update={"questions": questions})


@pytest.fixture
def home(tmp_path: Path, brand: Brand) -> Home:
    """With the shipped version speaking, and a candidate of the same weights beside it."""
    home = Home(tmp_path / "home")
    install_shipped(home, brand, terms=Terms())
    folder = home.adapters / "velmora"
    shutil.copytree(folder / SHIPPED, folder / "next")
    manifest = json.loads((folder / "next/manifest.json").read_text())
    (folder / "next/manifest.json").write_text(json.dumps({**manifest, "version": "next"}))
    return home


def judged(home: Home, brand: Brand, **changes: object) -> None:
    """Write down what the gate said of `next`: passed, unless changed."""
    weights = read_adapter(home.adapters / "velmora/next").weights_sha256
    verdict = RecordedVerdict(
        brand="velmora",
        conditions=Conditions(
            candidate=Judged(version="next", weights_sha256=weights),
            current=Judged(version=SHIPPED, weights_sha256=weights),
            base_sha256=BASE,
            questions_sha256=questions_sha256(brand, home),
            gate_sha256=gate_sha256(brand.gate),
        ),
        knowledge_version="k",
        verdict="passed",
        cases=160,
        reasons=(f"no worse than velmora@{SHIPPED} on 9 measures, by 160 cases",),
        measures=(),
        at=datetime.now(UTC),
    ).model_copy(update=changes)
    folder = evaluation_folder(home, "velmora", "next")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(verdict.to_json())


def test_a_candidate_that_the_gate_passed_speaks_and_its_manifest_says_why(home: Home, brand: Brand) -> None:
    judged(home, brand)
    promote(home, brand, "next", terms=Terms())
    assert active_version(home, "velmora") == "next"
    kept = read_adapter(home.adapters / "velmora/next").approvals
    assert [one.by for one in kept] == ["gate"]
    assert f"no worse than velmora@{SHIPPED}" in kept[0].note
    assert rollback(home, "velmora", terms=Terms()) == SHIPPED


def without_verdict(home: Home, brand: Brand) -> None:
    del home, brand


def broken_verdict(home: Home, brand: Brand) -> None:
    judged(home, brand)
    (evaluation_folder(home, "velmora", "next") / "verdict.json").write_text('{"verdict": "passed"}')


def refused(home: Home, brand: Brand) -> None:
    judged(home, brand, verdict="refused", reasons=("voice score: 0.9 now, 0.2 with the candidate",))


def too_few(home: Home, brand: Brand) -> None:
    judged(home, brand, verdict="not enough evidence", reasons=("12 cases, where 150 are needed",))


def other_weights(home: Home, brand: Brand) -> None:
    judged(home, brand)
    path = evaluation_folder(home, "velmora", "next") / "verdict.json"
    told = json.loads(path.read_text())
    told["conditions"]["candidate"]["weights_sha256"] = "0" * 64
    path.write_text(json.dumps(told))


def compared_with_another(home: Home, brand: Brand) -> None:
    judged(home, brand)
    path = evaluation_folder(home, "velmora", "next") / "verdict.json"
    told = json.loads(path.read_text())
    told["conditions"]["current"] = {"version": "base", "weights_sha256": None}
    path.write_text(json.dumps(told))


def other_questions(home: Home, brand: Brand) -> None:
    judged(home, brand)
    assert brand.questions is not None
    brand.questions.write_text('{"id": "q2"}\n')


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        pytest.param(without_verdict, "not judged velmora@next yet. Ask the gate: `brandvoice eval", id="not asked"),
        pytest.param(broken_verdict, "cannot be used", id="broken verdict"),
        pytest.param(refused, "refused: voice score: 0.9 now", id="refused"),
        pytest.param(too_few, "not enough evidence: 12 cases", id="not enough evidence"),
        pytest.param(other_weights, "weights are others", id="other weights"),
        pytest.param(compared_with_another, f"with base, and {SHIPPED} speaks now", id="another current version"),
        pytest.param(other_questions, "held-out questions are others", id="other questions"),
    ],
)
def test_a_candidate_that_the_gate_did_not_pass_does_not_speak_unless_somebody_answers_for_it(
    home: Home, brand: Brand, situation: Callable[[Home, Brand], None], reason: str
) -> None:
    situation(home, brand)
    with pytest.raises(PromotionRefused) as caught:
        promote(home, brand, "next", terms=Terms())
    assert reason in str(caught.value)
    assert active_version(home, "velmora") == SHIPPED
    assert read_adapter(home.adapters / "velmora/next").approvals == ()

    promote(home, brand, "next", terms=Terms(), override=Override("the owner", "prices change at noon"))
    assert active_version(home, "velmora") == "next"
    kept = read_adapter(home.adapters / "velmora/next").approvals[-1]
    assert kept.by == "the owner"
    assert "prices change at noon" in kept.note
    assert reason in kept.note


def test_changed_margins_make_a_verdict_out_of_date(home: Home, brand: Brand) -> None:
    judged(home, brand)
    stricter = brand.model_copy(update={"gate": Gate.model_validate({"margins": {"voice": 0.01}})})
    with pytest.raises(PromotionRefused, match="margins or floors were changed"):
        promote(home, stricter, "next", terms=Terms())


def test_another_base_model_makes_a_verdict_out_of_date(home: Home, brand: Brand) -> None:
    # The adapter's own base serves, and it was judged on another.
    judged(home, brand)
    serves = read_adapter(home.adapters / "velmora/next").base.sha256
    with pytest.raises(PromotionRefused, match="another base model serves"):
        promote(home, brand, "next", terms=Terms(base_sha256=serves))


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("who", " ")])
def test_an_override_needs_a_name_and_a_reason(by: str, reason: str) -> None:
    with pytest.raises(RequestInvalid, match="a name and a reason"):
        Override(by, reason)


def test_an_unknown_version_is_named_before_the_gate_is_asked(home: Home, brand: Brand) -> None:
    with pytest.raises(AdapterUnknown, match=f"known: next, {SHIPPED}"):
        promote(home, brand, "v9", terms=Terms(), override=Override("the owner", "because"))
