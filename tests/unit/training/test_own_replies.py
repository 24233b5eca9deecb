"""A base model's own replies to general prompts, by a fake server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.errors import DataInvalid, EngineFailed
from training.synthetic import own_replies
from training.synthetic.engine import ChatEngine, Reply
from training.synthetic.own_replies import Sampling, answer, ended, unusable
from training.synthetic.testing import Answer, FakeEngine, fake_engine

SENTENCES = "The sun is a star. It is so near that its light takes some eight minutes. "


def prompts(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def asks(*questions: str, system: str | None = None) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    for one in questions:
        messages += [{"role": "user", "content": one}, {"role": "assistant", "content": "old words"}]
    return {"messages": messages}


def echo(body: dict[str, Any]) -> str:
    return f"You said: {body['messages'][-1]['content']}"


def answered(engine: FakeEngine, file: Path, out: Path, **how: Any) -> dict[str, Any]:
    with ChatEngine(engine.url, sleep=lambda _: None) as client:
        return answer(file, client, Sampling("tiny", **{"parallel": 1, **how}), out)


def read(path: Path) -> list[list[str]]:
    return [[one["content"] for one in json.loads(line)["messages"]] for line in path.read_text("utf-8").splitlines()]


def test_every_reply_is_the_models_and_goes_on_from_its_own_words(tmp_path: Path) -> None:
    file = prompts(
        tmp_path / "in.jsonl",
        asks("One?", "Two?", system="Be brief."),
        {"prompt": "Three?", "completion": "old words"},
        {"instruction": "Four", "input": "five", "output": "old words"},
    )
    with fake_engine(echo) as engine:
        made = answered(engine, file, out := tmp_path / "deep" / "out.jsonl", parallel=3)
    assert made == {"rows": 3, "kept": 3, "dropped": {}}
    assert read(out) == [
        ["Be brief.", "One?", "You said: One?", "Two?", "You said: Two?"],
        ["Three?", "You said: Three?"],
        ["Four\n\nfive", "You said: Four\n\nfive"],
    ]
    assert not any("old words" in json.dumps(body) for body in engine.requests)
    second = next(body for body in engine.requests if body["messages"][-1]["content"] == "Two?")
    assert second["messages"][2] == {"role": "assistant", "content": "You said: One?"}
    assert (second["temperature"], second["top_p"], second["max_tokens"]) == (0.7, 0.95, 220)
    assert [one.name for one in out.parent.iterdir() if not one.name.startswith(".")] == ["out.jsonl"]


def test_the_seed_of_a_prompt_does_not_hang_on_the_others(tmp_path: Path) -> None:
    one, both = prompts(tmp_path / "a", asks("B?")), prompts(tmp_path / "b.jsonl", asks("A?"), asks("B?"))
    one = one.rename(tmp_path / "a.jsonl")
    with fake_engine(echo) as engine:
        answered(engine, one, tmp_path / "x.jsonl")
        answered(engine, both, tmp_path / "y.jsonl")
        answered(engine, one, tmp_path / "z.jsonl", seed=8)
    alone, _, among, other = (body["seed"] for body in engine.requests)
    assert alone == among != other


def test_what_is_no_good_is_left_out_and_counted(tmp_path: Path) -> None:
    said: dict[str, Answer] = {
        "Good?": "Yes.",
        "Empty?": " \n",
        "Round?": "and the cat and the dog " * 9,
        "Letter?": "Yours, [Your Name]",
        "Who?": "Write to ada@mail.example.",
        "Rude?": "What a stupid question.",
        "Code?": "```python\nprint(1)",
        "Cut?": (200, {}, json.dumps({"choices": [{"message": {"content": "A. And"}, "finish_reason": "length"}]})),
    }
    file = prompts(tmp_path / "in.jsonl", *(asks(one) for one in said), asks("Good?", "Empty?"))
    with fake_engine(lambda body: said[body["messages"][-1]["content"]]) as engine:
        made = answered(engine, file, out := tmp_path / "out.jsonl")
    assert made["dropped"] == {"abuse": 1, "cut": 2, "empty": 2, "pii": 1, "placeholder": 1, "repeats": 1}
    assert (made["rows"], made["kept"]) == (9, 1)
    assert read(out) == [["Good?", "Yes."]]


def test_a_reply_that_the_limit_cut_ends_with_a_sentence() -> None:
    long = SENTENCES * 3
    assert ended(Reply(f"{long}And the", cut=True)) == long.strip()
    assert ended(Reply(f'{long}He said "No." Then', cut=True)) == f'{long}He said "No."'
    assert ended(Reply(f"{long}\n\n1. First is 3.5.\n2.", cut=True)) == f"{long}\n\n1. First is 3.5."
    assert ended(Reply(f"{SENTENCES}And the", cut=True)) == "", "too little is left"
    assert ended(Reply(" No full stop ", cut=False)) == "No full stop"


def test_words_that_go_round_are_told_from_lists() -> None:
    assert unusable("1. An apple is red.\n2. A banana is yellow.\n3. A plum is blue.\n4. A lime is green.") is None
    assert unusable("It is a good thing that it is a good thing that it is a good thing.") == "repeats"
    assert unusable("This reply was ended by the model itself in the") == "cut"


def test_a_stopped_run_goes_on_and_leaves_the_file_as_it_was_until_then(tmp_path: Path) -> None:
    file = prompts(tmp_path / "in.jsonl", *(asks(f"{number}?") for number in range(6)))
    out = prompts(tmp_path / "out.jsonl", asks("before"))
    left = iter(range(3))

    def dies(body: dict[str, Any]) -> Answer:
        return echo(body) if next(left, None) is not None else (500, {}, "out of memory")

    with fake_engine(dies) as engine, pytest.raises(EngineFailed, match="500: out of memory"):
        answered(engine, file, out)
    assert read(out) == [["before", "old words"]]
    part = tmp_path / "out.jsonl.part"
    known = len(part.read_text("utf-8").splitlines())
    part.write_text(part.read_text("utf-8") + '{"key": "ha')
    with fake_engine(echo) as engine:
        assert answered(engine, file, out)["kept"] == 6
    assert len(engine.requests) == 6 - known < 6
    assert [row[0] for row in read(out)] == [f"{number}?" for number in range(6)]
    assert not part.exists()


def test_prompts_that_are_none_are_named(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    tool = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "", "tool_calls": [{}]},
            {"role": "tool", "content": "4"}, {"role": "assistant", "content": "Four."}]}  # fmt: skip
    with fake_engine(echo) as engine:
        with pytest.raises(DataInvalid, match=r"in.jsonl:2: no reply of an assistant") as caught:
            answered(engine, prompts(tmp_path / "in.jsonl", asks("?"), {"messages": [asks("?")["messages"][0]]}), out)
        assert len(caught.value.lines) == 1
        with pytest.raises(DataInvalid, match="tools cannot be answered"):
            answered(engine, prompts(tmp_path / "in.jsonl", tool), out)
        with pytest.raises(DataInvalid, match="the file is empty"):
            answered(engine, prompts(tmp_path / "in.jsonl"), out)
    assert not engine.requests
    with fake_engine(lambda _: "") as engine, pytest.raises(EngineFailed, match=r"tiny can be used: \{'empty': 1\}"):
        answered(engine, prompts(tmp_path / "in.jsonl", asks("?")), out)
    assert not out.exists()


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = prompts(tmp_path / "in.jsonl", asks("One?"))

    def run(url: str, *more: str) -> int:
        words = ["own_replies", "--prompts", str(file), "--url", url, "--out", str(tmp_path / "out.jsonl"), *more]
        monkeypatch.setattr("sys.argv", words)
        return own_replies.main()

    with fake_engine(echo) as engine:
        assert run(engine.url, "--seed", "3") == 0
        assert json.loads(capsys.readouterr().out) == {"rows": 1, "kept": 1, "dropped": {}}
        assert engine.requests[0]["model"] == "tiny"
    assert run("nowhere") == 1
    assert "is no address" in capsys.readouterr().err
