"""General ability: cases are read strictly, constraints are checked, likelihoods are those of plain passes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import AdapterInvalid
from training.errors import DataInvalid, TrainingError
from training.judging.general import adapter_off, measure_general, read_cases
from training.judging.general import measure as measuring
from training.judging.general.cases import Choice, some
from training.judging.general.instructions import CHECKS, Constraint, fits, holds
from training.judging.general.measure import choose
from training.judging.general.model import Prefixed, greedy, load, mean_logprobs
from training.recipes import sft
from training.testing import tiny_base

PUBLIC = Path(__file__).parents[4] / "shared/data/general"

FULFILLED: list[tuple[str, dict[str, Any], str, str]] = [
    # kind, values, a reply that fulfils it, one that does not
    ("keywords:existence", {"keywords": ["sun", "rain"]}, "Sunny, then rain.", "Only sun."),
    ("keywords:forbidden_words", {"forbidden_words": ["rock"]}, "A rocket.", "A Rock!"),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, "Tea or tea.", "Tea."),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "less than"}, "Tea.", "Tea or tea."),
    (
        "keywords:letter_frequency",
        {"letter": "O", "let_frequency": 3, "let_relation": "at least"},
        "Oh no, go.",
        "Oh no.",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "less than"},
        "Two words.",
        "Three words here.",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        'He said "no." Then he left!',
        "Version 2.5 came out.",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "One.\n***\nTwo.\n***", "One.\n***\n\n***\nTwo."),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "weekend"},
        'Hello.\n\n"Weekend" is near.',
        "Weekend.\n\nHello.",
    ),
    ("punctuation:no_comma", {}, "Red and blue.", "Red, blue."),
    ("change_case:english_capital", {}, "LOUD 1!", "Loud."),
    ("change_case:english_lowercase", {}, "quiet 1!", "Quiet."),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "BIG and LOUD",
        "BIG and loud",
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, "say it. Done.", "Done. Say it."),
    ("combination:two_responses", {}, "One.\n******\nTwo.", "Same.\n******\nSame."),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name], [town]", "[name], []"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S. Hi", "Bye.\nP.S. Hi"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP.S. Hi", "Ups, hi"),
    ("detectable_format:constrained_response", {}, "My answer is yes.", "Yes."),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Day", "num_sections": 2},
        "Day 1\nx\nDay 2\ny",
        "Day 1\nx",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\n- two\n**bold**", "* one\n* two\n* three"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*one* and **two**", "*one* and ** **"),
    ("detectable_format:title", {}, "<<A day>>\nIt was.", "<< >>\nIt was."),
    (
        "language:response_language",
        {"language": "de"},
        "Der Zug kommt heute leider etwas später an.",
        "The train is late.",
    ),
    ("startend:end_checker", {"end_phrase": "Peace!"}, 'So be it. Peace!"', "Peace! So be it."),
    ("startend:quotation", {}, '"All of it."', '"Some" of it.'),
]


@pytest.mark.parametrize(("kind", "values", "good", "bad"), FULFILLED)
def test_a_constraint_tells_a_reply_that_fulfils_it_from_one_that_does_not(
    kind: str, values: dict[str, Any], good: str, bad: str
) -> None:
    assert holds(Constraint(kind, values), f" {good}\n")
    assert not holds(Constraint(kind, values), bad)


def test_each_check_is_tried_above_and_an_empty_reply_fulfils_none() -> None:
    assert {kind for kind, *_ in FULFILLED} == CHECKS.keys()
    assert not any(holds(Constraint(kind, values), " ") for kind, values, *_ in FULFILLED)


def test_a_reply_too_long_for_its_tokens_is_not_asked_for() -> None:
    wanted = {"num_words": 400, "relation": "at least"}
    assert not fits(Constraint("length_constraints:number_words", wanted), 256)
    assert fits(Constraint("length_constraints:number_words", wanted), 1024)
    assert fits(Constraint("length_constraints:number_words", wanted | {"relation": "less than"}), 256)


def test_the_shipped_cases_are_sound() -> None:
    cases = read_cases()
    assert len(cases.choices) >= 150
    assert len(cases.texts) >= 60
    assert not cases.left_out
    assert len({one.question for one in cases.choices}) == len(cases.choices)
    # An option that is always at one place could be learnt without reading.
    places = Counter(one.right for one in cases.choices)
    assert max(places.values()) < len(cases.choices) * 0.35


@pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"no public data in {PUBLIC}")
def test_the_public_files_are_read_and_every_kind_of_instruction_has_a_check() -> None:
    cases = read_cases([PUBLIC / "ifeval.jsonl", PUBLIC / "multiple_choice.jsonl"], shipped=False)
    assert (len(cases.instructions), len(cases.choices), dict(cases.left_out)) == (194, 250, {})


def test_an_instruction_without_a_check_is_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [
        {"prompt": "Rhyme.", "instruction_id_list": ["poetry:rhyme"], "kwargs": [{}]},
        {"prompt": "Write.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"relation": None}]},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    cases = read_cases([file], shipped=False)
    assert [one.id for one in cases.instructions] == ["instruction:a:2"]
    assert cases.left_out == {"no check for poetry:rhyme": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "Why?", "choices": ["So.", "No."], "gold": 2}, "gold is 2"),
        ({"question": "Why?", "choices": ["So."], "gold": 0}, "choices"),
        ({"prompt": "Go.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "different lengths"),
        ({"prompt": "Go.", "instruction_id_list": ["keywords:existence"], "kwargs": [{}]}, "cannot be checked"),
        ({"prompt": "Go."}, "neither"),
        ({"text": " "}, "text"),
    ],
)
def test_a_line_of_no_form_stops_the_reading_and_is_named(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"text": "Fine."}) + "\n" + json.dumps(row))
    with pytest.raises(DataInvalid, match=reason) as caught:
        read_cases([file], shipped=False)
    assert [line.line for line in caught.value.lines] == [2]


def test_a_case_that_is_there_twice_and_a_missing_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "x", "text": "One."}\n{"id": "x", "text": "Two."}')
    with pytest.raises(DataInvalid, match="there twice"):
        read_cases([file], shipped=False)
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_cases([tmp_path / "none.txt"], shipped=False)


def test_a_limit_takes_tasks_in_turn_and_the_same_cases_each_time() -> None:
    choices = read_cases().choices
    drawn = some(choices, 12)
    assert drawn == some(list(reversed(choices)), 12)
    assert set(Counter(one.task for one in drawn).values()) == {2}


def test_continuations_that_share_a_pass_are_as_likely_as_each_in_its_own(base: Path) -> None:
    model, _ = load(base, None, "cpu")
    rows = [
        Prefixed([5, 6, 7, 8], [[9, 10], [11], [9, 10, 12, 13]]),
        Prefixed([20], [[21, 22, 23]]),
        Prefixed([30, 31], [[32], [32]]),
    ]
    for row, values in zip(rows, mean_logprobs(model, rows), strict=True):
        for continuation, value in zip(row.continuations, values, strict=True):
            ids = torch.tensor([[*row.prefix, *continuation]])
            with torch.no_grad():
                told = torch.log_softmax(model(ids).logits[0], -1)
            start = len(row.prefix)
            alone = [float(told[start + place - 1, token]) for place, token in enumerate(continuation)]
            assert value == pytest.approx(sum(alone) / len(alone), abs=1e-5)


def test_the_likelier_option_is_chosen(base: Path) -> None:
    model, tokenizer = load(base, None, "cpu")
    # A model whose every logit but that of `e` is small: `eee` is far likelier than `xyz`.
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(model.config.vocab_size))
        model.lm_head.bias[tokenizer("e")["input_ids"][0]] = 9.0
    asked = [Choice(f"c{right}", "t", "Which?", ("xyz", "eee", "abc"), right) for right in range(3)]
    assert choose(model, tokenizer, asked) == {"c0": 0.0, "c1": 1.0, "c2": 0.0}


def test_greedy_replies_do_not_depend_on_their_neighbours(base: Path) -> None:
    model, tokenizer = load(base, None, "cpu")
    prompts = ["hello", "a much longer prompt than the first one", "x"]
    together = greedy(model, tokenizer, prompts, max_new_tokens=6)
    alone = [greedy(model, tokenizer, [one], max_new_tokens=6)[0] for one in prompts]
    assert together == alone
    assert any(together)


def test_base_and_adapter_are_asked_the_same_and_measured_once(
    base: Path, trained: sft.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"prompt": "Go.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}))

    def measure(adapter: Path | None) -> Any:
        return measure_general(base, adapter, files=[file], limit=8, device="cpu", cache_folder=tmp_path / "kept")

    before, after = measure(None), measure(trained.folder)
    assert {name: values.keys() for name, values in before.measured.items()} == {
        name: values.keys() for name, values in after.measured.items()
    }
    assert before.cases["choices"] == before.cases["loss"] == 8
    assert before.cases["instructions"] == 1
    assert before.measured["general_loss"] != after.measured["general_loss"]
    assert before.scores["loss"] == pytest.approx(sum(before.measured["general_loss"].values()) / 8, abs=1e-5)
    monkeypatch.setattr(measuring, "load", lambda *_: pytest.fail("measured again"))
    assert measure(None).measured == before.measured
    assert measure(trained.folder).cached
    monkeypatch.setattr(measuring, "load", lambda *_: (_ for _ in ()).throw(TrainingError("measured anew")))
    file.write_text(file.read_text().replace("Go.", "Run."))
    with pytest.raises(TrainingError, match="measured anew"):
        measure(None)


def test_an_adapter_of_another_base_is_refused(trained: sft.Trained, tmp_path: Path) -> None:
    other = tmp_path / "base"
    manifest = tiny_base(other)
    (other / "base.json").write_text(manifest.model_copy(update={"sha256": "0" * 64}).model_dump_json())
    with pytest.raises(AdapterInvalid, match="was trained on"):
        measure_general(other, trained.folder, device="cpu", limit=1)


def test_an_adapter_switched_off_is_the_base(base: Path, trained: sft.Trained) -> None:
    found = adapter_off(base, trained.folder, ["hello 1", "hello 2", "good day"], device="cpu", max_new_tokens=8)
    assert (found.prompts, found.identical) == (3, 3)
    assert found.changed
