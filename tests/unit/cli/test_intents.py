"""`brandvoice intents`: trained, looked at and measured from files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from retrieval.testing import HashEncoder
from service.cli.deployment import Deployment
from tests.unit.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[3]
ROWS = [
    {"text": f"{start} {noun} {verb}", "intent": intent}
    for intent, nouns, verbs in (
        ("delivery", ("parcel", "courier"), ("arrive", "track", "late")),
        ("refund", ("refund", "money"), ("back", "repaid", "owed")),
    )
    for noun in nouns
    for verb in verbs
    for start in ("when does the", "please tell me the")
]
OUTSIDE = [
    {"text": f"{one} {other}", "intent": "oos", "out_of_scope": True}
    for one in ("volcano", "saxophone", "giraffe", "algebra")
    for other in ("erupts", "poem", "trivia", "recipe")
]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with train.jsonl and test.jsonl, and an encoder that needs no model."""
    monkeypatch.setattr(Deployment, "encoder", lambda _self, _say: HashEncoder())
    tests = [
        {"text": "my parcel is late", "intent": "delivery", "split": "test"},
        {"text": "I want my money back", "intent": "refund", "out_of_scope": False},
        {"text": "a giraffe recipe", "intent": "oos", "out_of_scope": True},
    ]
    for name, rows in (("train", [*ROWS, *OUTSIDE]), ("test", tests), ("known", ROWS)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def test_eval_prints_exactly_the_five_figures(cli: Cli, files: Path) -> None:
    done = cli("intents", "eval", "--train", f"{files}/train.jsonl", "--test", f"{files}/test.jsonl", "--json")
    assert done.code == 0, done.err
    assert done.json == {
        "accuracy": 1.0,
        "in_scope_accuracy": 1.0,
        "out_of_scope_recall": 1.0,
        "out_of_scope_auroc": 1.0,
        "macro_f1": 1.0,
    }


def test_eval_without_messages_out_of_scope_says_null(cli: Cli, files: Path) -> None:
    done = cli("intents", "eval", "--train", f"{files}/known.jsonl", "--test", f"{files}/known.jsonl", "--json")
    assert (done.json["out_of_scope_recall"], done.json["out_of_scope_auroc"]) == (None, None)
    assert done.json["accuracy"] == done.json["in_scope_accuracy"] == 1.0


def test_eval_names_a_bad_line(cli: Cli, files: Path) -> None:
    (files / "bad.jsonl").write_text('{"text": "a", "intent": "x"}\n{"text": 7}\n', encoding="utf-8")
    done = cli("intents", "eval", "--train", f"{files}/train.jsonl", "--test", f"{files}/bad.jsonl", "--json")
    assert done.code == 1
    assert "bad.jsonl:2: text" in done.err
    assert done.out == ""


def test_a_brand_is_trained_and_a_message_is_shown(cli: Cli, home: Path, files: Path) -> None:
    trained = cli("intents", "train", "--brand", "velmora", "--data", f"{files}/train.jsonl", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["labels"] == ["delivery", "refund"]
    assert trained.json["metrics"]["in_scope_accuracy"] == 1.0
    assert sorted(path.name for path in (home / "intents" / "velmora").iterdir()) == [
        "arrays.npz",
        "examples.jsonl",
        "manifest.json",
    ]
    shown = cli("intents", "show", "--brand", "velmora", "has my parcel a courier", "--json").json
    assert (shown["intent"], shown["rejected"]) == ("delivery", False)
    assert shown["nearest"][0]["intent"] == "delivery"
    assert "rejected: out of scope" in cli("intents", "show", "--brand", "velmora", "a volcano poem").out


def test_a_brand_without_labelled_messages_is_told_where_to_name_them(cli: Cli, files: Path) -> None:
    done = cli("intents", "train", "--brand", "velmora")
    assert done.code == 2
    assert "--data" in done.err


def test_a_message_cannot_be_shown_before_training(cli: Cli, files: Path) -> None:
    done = cli("intents", "show", "--brand", "velmora", "hello")
    assert done.code == 1
    assert "intents train" in done.err


def test_config_check_refuses_a_route_of_an_intent_that_no_message_has(
    cli: Cli, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "configs", files / "configs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (files / "samples").symlink_to(ROOT / "samples")
    monkeypatch.setenv("BRANDVOICE_CONFIGS", str(files / "configs"))
    brand = files / "configs" / "brands" / "velmora.yaml"
    own = brand.read_text("utf-8")
    routes = "\nintents: train.jsonl\nintents_routes:\n  {}: hand_over\n"
    brand.write_text(own + routes.format("refund"), encoding="utf-8")
    assert cli("config", "check").code == 0
    assert cli("config", "show", "--json").json["values"]["brands.velmora.intents_routes.refund"]["value"] == (
        "hand_over"
    )
    brand.write_text(own + routes.format("refunds"), encoding="utf-8")
    done = cli("config", "check")
    assert done.code == 1
    assert "did you mean 'refund'?" in done.err
    brand.write_text(own + "\nintents_routes:\n  refund: hand_over\n", encoding="utf-8")
    assert "add intents" in cli("config", "check").err
