"""What belongs to a person: the examples, the lines, and messages that neither saw."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder import OnnxEncoder
from retrieval.routing import person
from retrieval.routing.person import MATTERS, MODEL_FILE, NOT, matter, read_examples
from retrieval.routing.person_fit import answered_by_pages
from retrieval.routing.person_fit import main as fit_main
from retrieval.routing.route import route
from retrieval.testing import HashEncoder


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    folder = Path(os.environ.get("BRANDVOICE_HOME", "var")) / "models" / "all-minilm-l6-v2"
    if not (folder / "manifest.json").is_file():
        pytest.skip(f"no prepared encoder in {folder}")
    return OnnxEncoder.load(folder)


def test_examples_name_each_matter_and_stand_once() -> None:
    examples = read_examples()
    counts = Counter(examples.matters)
    assert set(counts) == {*MATTERS, NOT}
    assert counts[NOT] >= 200
    assert sum(counts[name] for name in MATTERS) >= 120
    assert len({text.casefold() for text in examples.texts}) == len(examples.texts)


def test_shipped_model_was_fitted_on_the_examples_beside_it() -> None:
    with np.load(MODEL_FILE) as arrays:
        assert str(arrays["examples_sha256"]) == read_examples().sha256
        assert arrays["lines"].shape == (len(MATTERS),)


def test_model_of_other_examples_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "examples.yaml"
    changed.write_bytes(person.EXAMPLES_FILE.read_bytes() + b"  - one more\n")
    monkeypatch.setattr(person, "EXAMPLES_FILE", changed)
    person._model.cache_clear()
    try:
        with pytest.raises(ValueError, match="other examples"):
            matter("anything", HashEncoder())
    finally:
        person._model.cache_clear()


def test_with_another_encoder_the_model_says_nothing() -> None:
    assert matter("Your heater caught fire in our living room.", HashEncoder()) is None


def test_lines_are_set_on_what_stays_with_the_pages(tmp_path: Path) -> None:
    (tmp_path / "rag").mkdir()
    first = {"messages": [{"role": "user", "content": "which form do I need"}], "question": "which form do I need"}
    later = {"messages": [{}, {}, {}], "question": "and then?"}
    (tmp_path / "rag" / "doc2dial_questions.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(later)}\n")
    turns = [
        {"role": "user", "content": "what does it cost"},
        {"role": "assistant", "content": "Ten.", "outcome": "answered"},
        {"role": "user", "content": "somebody hit me"},
        {"role": "assistant", "content": "A person comes.", "outcome": "handed_off"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello.", "outcome": "small_talk"},
    ]
    (tmp_path / "conversations.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    assert answered_by_pages(tmp_path, [tmp_path]) == ("which form do I need", "what does it cost")


def test_fitting_asks_for_its_folders(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_main(["only one"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flames came out of the hair dryer and burned my hand", MATTERS["safety"]),
        ("I will tell the newspapers what your staff did to my father", MATTERS["threat"]),
        ("somebody unknown withdrew money from my bank account with my card", MATTERS["money"]),
    ],
)
def test_a_matter_for_a_person_is_handed_over_with_its_name(encoder: OnnxEncoder, text: str, reason: str) -> None:
    found = route(text, encoder)
    assert (found.kind, found.reason) == ("hand_over", reason)


@pytest.mark.parametrize(
    "text",
    [
        "does the hair dryer get hot?",
        "my kettle is full of limescale, how do I clean it",
        "how can I pay?",
        "do you sell books about newspapers",
        "which of my data do you store?",
        "my delivery is late, what should I do now",
    ],
)
def test_what_pages_answer_stays_a_question(encoder: OnnxEncoder, text: str) -> None:
    assert route(text, encoder).kind == "question"


def test_it_takes_no_second_call_of_the_encoder(encoder: OnnxEncoder) -> None:
    text = "a message of ordinary length about nothing that was ever seen before by anybody"
    matter("warm up", encoder)
    encoder.encode_query(text)
    misses = encoder._query.cache_info().misses
    matter(text, encoder)
    assert encoder._query.cache_info().misses == misses
