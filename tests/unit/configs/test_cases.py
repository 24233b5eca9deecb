"""Held-out questions that people add: kept once, beside the brand's own, and part of what a verdict holds for."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from configs.brand import Brand
from configs.cases import add_cases, added_file, case_files, remove_case
from configs.home import Home
from configs.json_lines import read_rows
from configs.load import load_config
from configs.verdict import questions_sha256
from service.keeping.traces import Needles, clean_home
from training.conversations import read_questions

BRAND: Brand = load_config(Path("configs"), {}).brands["velmora"]


def case(number: int, **more: object) -> dict[str, object]:
    return {"id": f"inbox:turn-{number:04}", "question": f"Question {number}?", "document": "answer-x.md", **more}


def test_added_questions_stand_behind_the_brands_own_and_change_what_a_verdict_holds_for(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert BRAND.questions is not None
    own = read_questions(BRAND.questions)
    before = questions_sha256(BRAND, home)
    assert case_files(BRAND, home) == (BRAND.questions,)
    add_cases(home, "velmora", [case(1, answer_contains=["30 Tage"])])
    add_cases(home, "velmora", [case(2)])
    files = case_files(BRAND, home)
    assert files == (BRAND.questions, added_file(home, "velmora"))
    assert read_questions(files[0]) == own
    first, second = read_questions(files[1])
    assert (first.question, first.answer_contains, second.document) == ("Question 1?", ("30 Tage",), "answer-x.md")
    assert questions_sha256(BRAND, home) != before
    assert added_file(home, "velmora").stat().st_mode & 0o777 == 0o600


def test_a_case_is_kept_once_also_when_many_add_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add_cases(home, "velmora", [case(number % 5)]), range(40)))
    rows = [json.loads(line) for line in added_file(home, "velmora").read_text("utf-8").splitlines()]
    assert sorted(row["id"] for row in rows) == [f"inbox:turn-{number:04}" for number in range(5)]


def test_forgetting_who_asked_takes_the_case_along(tmp_path: Path) -> None:
    home = Home(tmp_path)
    add_cases(home, "velmora", [case(1)])
    add_cases(home, "velmora", [case(2)])
    found = clean_home(home, Needles(ids=frozenset({"turn-0001"})), dry_run=False)
    assert found.rows == {"questions/velmora.jsonl": 1}
    assert "turn-0002" in added_file(home, "velmora").read_text("utf-8")
    add_cases(home, "velmora", [case(3)])
    assert len(added_file(home, "velmora").read_text("utf-8").splitlines()) == 2


def test_one_is_taken_out_by_its_id_and_the_last_one_takes_the_file_along(tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = added_file(home, "velmora")
    assert not remove_case(path, "a")
    for one in "ab":
        add_cases(home, "velmora", [{"id": one, "question": f"{one}?", "document": None}])
    assert remove_case(path, "a")
    assert not remove_case(path, "a")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["b"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert remove_case(path, "b")
    assert not path.exists()


def test_nothing_added_leaves_no_file_and_a_line_separator_in_a_question_is_no_end_of_a_row(tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = added_file(home, "velmora")
    assert add_cases(home, "velmora", []) == 0
    assert not path.exists()
    odd = case(1) | {"question": "Is it\u2028open?"}
    assert add_cases(home, "velmora", [odd, case(2)]) == 2
    assert add_cases(home, "velmora", [odd]) == 0
    assert [row["question"] for row in read_rows(path)] == ["Is it\u2028open?", "Question 2?"]
