import json
import os
from pathlib import Path

import pytest

from training.runs.beside import Task, keep_result, run_beside

SCRIPT = """
import json, os, pathlib, sys, time
name, folder, fails = sys.argv[1:]
pathlib.Path(folder, "began").write_text(str(time.monotonic()))
pathlib.Path(folder, "pid").write_text(str(os.getpid()))
time.sleep(60 if fails == "sleeps" else 0.4)
if fails == "yes":
    sys.exit("the card is full")
if fails != "silent":
    pathlib.Path(folder, "result.json").write_text(json.dumps({"name": name}))
pathlib.Path(folder, "ended").write_text(str(time.monotonic()))
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    (tmp_path / "one_training.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fails = {"b": "yes", "c": "silent"}
    return [
        Task(name, "one_training", (name, str(tmp_path / name), fails.get(name, "no")), tmp_path / name)
        for name in "abcd"
    ]


def test_results_come_and_a_failure_is_told_with_the_end_of_its_log(tasks: list[Task]) -> None:
    said: list[str] = []
    found = list(run_beside(tasks, 4, say=said.append, every=0.02))
    assert sorted(one["name"] for one in found) == ["a", "d"]
    assert len(said) == 2
    assert any("FAILED b" in one and "the card is full" in one for one in said)
    assert any("FAILED c" in one for one in said)


def test_no_more_run_at_a_time_than_asked_for(tasks: list[Task], tmp_path: Path) -> None:
    assert len(list(run_beside([tasks[0], tasks[3]], 1, say=print, every=0.02))) == 2
    first, second = ((tmp_path / "a" / "ended"), (tmp_path / "d" / "began"))
    assert float(second.read_text()) > float(first.read_text())


def test_none_is_started_when_the_time_is_over_and_it_is_said(tasks: list[Task]) -> None:
    said: list[str] = []
    found = list(run_beside([tasks[0], tasks[3]], 1, say=said.append, start_within=0.1, every=0.02))
    assert [one["name"] for one in found] == ["a"]
    assert said == ["no time left for d"]


def test_a_result_of_an_earlier_run_is_not_taken_for_this_one(tasks: list[Task]) -> None:
    keep_result(tasks[1].folder, {"name": "old"})
    assert json.loads((tasks[1].folder / "result.json").read_text()) == {"name": "old"}
    assert not list(run_beside([tasks[1]], 1, say=lambda _: None, every=0.02))


def test_what_runs_is_ended_when_the_caller_stops(tasks: list[Task], tmp_path: Path) -> None:
    slow = Task("slow", "one_training", ("slow", str(tmp_path / "slow"), "sleeps"), tmp_path / "slow")
    results = run_beside([slow, tasks[0]], 2, say=print, every=0.02)
    assert next(results)["name"] == "a"
    results.close()  # type: ignore[attr-defined]  (a generator)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "slow" / "pid").read_text()), 0)
