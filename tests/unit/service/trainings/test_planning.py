"""What a training would do, and what is said of a version; by the project's own recipes, data and adapters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from configs.adapter_manifest import read_adapter
from configs.home import Home
from configs.load import load_config
from configs.training import read_adapter_recipe
from configs.verdict import Conditions, Judged, RecordedVerdict
from service.errors import AdapterUnknown, NotPossible, RequestInvalid
from service.storage.database import now
from service.trainings import changed, curve, notes, planning
from service.trainings.terms import Choice

ROOT = Path(__file__).resolve().parents[4]
CONFIGS = ROOT / "configs"
BRAND = "velmora"


def brand():  # type: ignore[no-untyped-def]
    return load_config(CONFIGS, {}).brands[BRAND]


def speaks(home: Home) -> None:
    """A version of the brand speaks."""
    (home.adapters / BRAND).mkdir(parents=True)
    (home.adapters / BRAND / "active").write_text("v1\n")


def test_recipes_of_adapters_are_offered_with_what_they_say_of_themselves() -> None:
    found = {one.name: one for one in planning.recipes(CONFIGS)}
    assert {"quick_cpu", "lora", "dpo"} <= found.keys()
    assert not {"retriever", "cross_encoder"} & found.keys()
    assert found["dpo"].learns_from == "pairs"
    assert found["quick_cpu"].about == (
        "A small adapter while you watch: at most 12 minutes a brand on two CPU cores. On a GPU: lora.yaml."
    )


def test_the_command_is_one_that_training_takes(tmp_path: Path) -> None:
    choice = Choice(BRAND, "quick_cpu", changes=("lora.r=4",), corrections=False)
    command = planning.train_command(Home(tmp_path), CONFIGS, brand(), choice, "v1")
    changes = [after for word, after in pairwise(command) if word == "--set"]
    recipe = read_adapter_recipe(CONFIGS / "training/quick_cpu.yaml", changes)
    assert (recipe.lora.r, recipe.data.corrections, recipe.sft.checkpoint_every) == (4, False, 25)  # type: ignore[union-attr]
    # Its own parser reads it to the last word: an unknown brand is what it stops at.
    other = [word if word != BRAND else "nobody" for word in command]
    done = subprocess.run(
        other, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"BRANDVOICE_HOME": str(tmp_path)}
    )
    assert done.returncode == 1
    assert "there is no brand 'nobody'" in done.stderr
    gate = planning.gate_command(Choice(BRAND, "quick_cpu", general=False, limit=5), "v1", "http://127.0.0.1:9")
    assert gate[-3:] == ["--no-general", "--limit", "5"]
    assert "--no-baseline" in planning.gate_command(Choice(BRAND, "quick_cpu", baseline=False), "v1", "http://x")
    with pytest.raises(RequestInvalid, match=r"lora\.rank"):
        planning.resolved(CONFIGS, Choice(BRAND, "quick_cpu", changes=("lora.rank=4",)))


def test_pairs_are_learnt_once_there_are_some(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(NotPossible, match="accept corrections first"):
        planning.train_command(home, CONFIGS, brand(), Choice(BRAND, "dpo"), "v1")
    pairs = home.corrections(BRAND).pairs
    pairs.parent.mkdir(parents=True)
    speaks(home)
    pairs.write_text("{}\n")
    command = planning.train_command(home, CONFIGS, brand(), Choice(BRAND, "dpo"), "v1")
    assert command[-2:] == ["--pairs", str(pairs)]


def test_what_goes_on_from_the_version_that_speaks_says_so_where_none_does(tmp_path: Path) -> None:
    home, choice = Home(tmp_path), Choice(BRAND, "corrections")
    with pytest.raises(NotPossible, match="train a first one, such as with quick_cpu"):
        planning.train_command(home, CONFIGS, brand(), choice, "v2")
    speaks(home)
    assert "--recipe corrections" in " ".join(planning.train_command(home, CONFIGS, brand(), choice, "v2"))


def test_a_voice_that_speaks_and_was_corrected_is_proposed_to_go_on(tmp_path: Path) -> None:
    assert planning.proposed(CONFIGS, goes_on=True) == "corrections"
    assert planning.proposed(CONFIGS, goes_on=False) == "quick_cpu"
    # A deployment's own recipes need not hold it.
    assert planning.proposed(tmp_path, goes_on=True) == "quick_cpu"


async def test_the_data_doctor_looks_at_corrections_beside_the_brands_own(tmp_path: Path) -> None:
    home, one = Home(tmp_path), brand()
    corrected = home.corrections(BRAND).conversations
    corrected.parent.mkdir(parents=True)
    messages = [
        {"role": "user", "content": "May I bring my dog into the boutique?"},
        {"role": "assistant", "content": "We regret that our pages are silent on this.", "outcome": "refused"},
    ]
    row = {"id": "correction.t1", "topic": "corrections", "messages": messages}
    corrected.write_text(json.dumps(row) + "\n" + json.dumps({"id": "broken"}) + "\n")
    recipe, _ = planning.resolved(CONFIGS, Choice(BRAND, "quick_cpu"))
    files = planning.files(home, one, recipe, Choice(BRAND, "quick_cpu"))
    assert files == [one.conversations, corrected]
    told = await planning.check(files, BRAND, os.environ | {"BRANDVOICE_HOME": str(tmp_path)})
    assert [Path(bad["file"]).parent for bad in told["report"]["rejected"]] == [corrected.parent]
    assert told["report"]["accepted"] > 100
    assert 0 <= told["score"] <= 100
    with pytest.raises(NotPossible, match="cannot be checked"):
        await planning.check([tmp_path / "none.jsonl"], BRAND, os.environ)


def verdict(version: str, current: str) -> RecordedVerdict:
    row = {"measure": "voice", "verdict": "passed", "current": 0.6, "candidate": 0.7, "less_is_better": False}
    worse = {"measure": "leak", "verdict": "refused", "current": 0.0, "candidate": 0.1, "less_is_better": True}
    sides = Judged(version=version, weights_sha256="a" * 64), Judged(version=current, weights_sha256="b" * 64)
    return RecordedVerdict(
        brand=BRAND,
        conditions=Conditions(
            candidate=sides[0], current=sides[1], base_sha256=None, questions_sha256="c" * 64, gate_sha256="d" * 64
        ),
        knowledge_version="k1",
        verdict="refused",
        cases=150,
        reasons=("it leaks",),
        measures=(row, worse),
        at=now(),
    )


@pytest.fixture
def trained(tmp_path: Path) -> Home:
    """The adapter that ships as the candidate, and a copy of it under another name as what speaks."""
    home = Home(tmp_path)
    for name in ("v1", "v0"):
        shutil.copytree(ROOT / "samples/velmora/adapter", home.adapters / BRAND / name)
    (home.adapters / BRAND / "active").write_text("v0")
    folder = home.evaluations / BRAND / "v1"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(verdict("v1", "v0").to_json())
    return home


def test_release_notes_tell_data_changes_scores_and_who_let_it_speak(trained: Home) -> None:
    before = {path: path.read_bytes() for path in trained.adapters.rglob("*") if path.is_file()}
    found = notes.notes(trained, BRAND, "v1", None)
    assert (found.verdict, found.compared_with, found.active, found.same_data) == ("refused", "v0", False, True)
    assert [(one.name, one.better) for one in found.measures] == [("voice", True), ("leak", False)]
    manifest = read_adapter(trained.adapters / BRAND / "v1", verify=False)
    assert found.base == manifest.base.name
    text = notes.as_text(found)
    for part in ("# velmora@v1", "## Data", "## Scores", "The gate: refused, against v0.", "it leaks", "nobody yet"):
        assert part in text
    assert {path: path.read_bytes() for path in before} == before, "what is signed is not touched"
    with pytest.raises(AdapterUnknown):
        notes.notes(trained, BRAND, "../v1", None)


def test_the_answers_that_changed_most_come_first(trained: Home) -> None:
    def line(name: str, text: str) -> str:
        return json.dumps({"id": name, "question": f"{name}?", "answer": {"text": text, "outcome": "answered"}})

    old, new = ["a b c d", "same words", "one two"], ["a b c x", "same words", "three four"]
    for version, texts in (("v0", old), ("v1", new)):
        folder = trained.evaluations / BRAND / version
        folder.mkdir(parents=True, exist_ok=True)
        rows = [line(f"q{at}", text) for at, text in enumerate(texts)]
        (folder / "answers.jsonl").write_text("\n".join(['{"of": {}}', *rows, '{"cut']))
    found = changed.changed(trained, BRAND, "v0", "v1")
    assert [(one.question, one.before, one.after) for one in found] == [
        ("q2?", "one two", "three four"),
        ("q0?", "a b c d", "a b c x"),
    ]
    assert changed.changed(trained, BRAND, "v0", "none") == []


def test_a_long_curve_is_thinned_and_a_cut_line_passed_over(tmp_path: Path) -> None:
    rows = [json.dumps({"step": at, "loss": 1 / at}) for at in range(1, 2001)]
    rows.insert(3, json.dumps({"step": 3, "held_back_loss": 0.5}))
    (tmp_path / "losses.jsonl").write_text("\n".join([*rows, '{"step": 20', '{"step": 9, "loss": NaN}']))
    found = curve.curve(tmp_path)
    assert len(found.losses) == curve.POINTS
    assert (found.losses[0].step, found.losses[-1].step) == (1, 2000)
    assert [point.loss for point in found.held_back] == [0.5]
    assert curve.curve(tmp_path / "none") == curve.Curve()


def test_the_run_of_a_brand_is_not_that_of_one_whose_name_begins_alike(tmp_path: Path) -> None:
    for name in ("acme-20261126-110000", "acme-pets-20261126-120000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "losses.jsonl").write_text("")
    found = curve.newest_run(tmp_path, "acme", 0)
    assert found is not None
    assert found.name == "acme-20261126-110000"
    assert curve.newest_run(tmp_path, "acme", 4e9) is None
