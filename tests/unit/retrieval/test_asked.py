"""What a brand's own conversations say of a question."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from configs.home import Home
from configs.load import load_config
from retrieval.brand_search import open_search
from retrieval.encoder import Vectors
from retrieval.knowledge.store import add
from retrieval.search import asked
from retrieval.search.asked import BOUND, Asked, Turn, open_asked, read_turns
from retrieval.testing import HashEncoder, write_pages

ROOT = Path(__file__).resolve().parents[3]
THINGS = (
    "lamp",
    "scarf",
    "purse",
    "kettle",
    "saddle",
    "ladder",
    "mirror",
    "candle",
    "pillow",
    "basket",
    "carpet",
    "violin",
)


def _turns(refused: int = len(THINGS)) -> list[Turn]:
    sold = [Turn(f"what does a {one} cost", (), True) for one in THINGS]
    return [*sold, *(Turn(f"could you rent me a {one} monthly", (), False) for one in THINGS[:refused])]


def _write(file: Path, turns: list[Turn]) -> Path:
    rows = []
    for one in turns:
        said = [{"role": "user", "content": one.question}]
        said.append({"role": "assistant", "content": "-", "outcome": "answered" if one.answered else "refused"})
        rows.append(json.dumps({"messages": said}) + "\n")
    file.write_text("".join(rows), encoding="utf-8")
    return file


def test_a_question_like_those_that_were_refused_scores_below_one_like_those_that_were_answered() -> None:
    learnt, left_out = Asked.learn(_turns(), HashEncoder())
    assert learnt.score("rent a bicycle monthly") < 0 < learnt.score("what does a bicycle cost")
    assert left_out[: len(THINGS)].min() > left_out[len(THINGS) :].max()


def test_a_score_stays_within_its_bound_also_for_what_was_asked_word_for_word() -> None:
    encoder = HashEncoder()
    often = [*_turns(), *[Turn("do you lend umbrellas", (), False)] * 9]
    learnt = Asked.learn(often, encoder)[0]
    assert learnt.score("do you lend umbrellas") == -BOUND
    assert abs(learnt.score("zebra quagga okapi")) < BOUND / 2


def test_turns_are_read_with_what_was_said_before_and_others_are_left_out(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello!", "outcome": "small_talk"},
        {"role": "user", "content": "do you rent"},
        {"role": "assistant", "content": "Sorry.", "outcome": "refused"},
    ]
    file = tmp_path / "conversations.jsonl"
    file.write_text(json.dumps({"messages": messages}) + "\n\n", encoding="utf-8")
    assert list(read_turns(file)) == [Turn("do you rent", ("hello",), False)]


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"messages": [{"role": "user"}]}', '{"messages": ["a"]}'])
def test_conversations_that_cannot_be_read_teach_nothing_and_the_log_says_so(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "conversations.jsonl"
    file.write_text(text, encoding="utf-8")
    assert open_asked(file, HashEncoder()) is None
    assert open_asked(tmp_path / "absent.jsonl", HashEncoder()) is None
    assert [one.message for one in caplog.records if one.levelno == logging.WARNING] == ["asked_off", "asked_off"]


def test_too_few_refusals_teach_nothing(tmp_path: Path) -> None:
    assert open_asked(None, HashEncoder()) is None
    assert open_asked(_write(tmp_path / "few.jsonl", _turns(asked.MIN_REFUSED - 1)), HashEncoder()) is None
    assert open_asked(_write(tmp_path / "enough.jsonl", _turns(asked.MIN_REFUSED)), HashEncoder()) is not None


def test_many_answered_turns_are_thinned_and_the_refused_ones_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "MAX_ANSWERED", 5)
    seen: list[list[Turn]] = []
    learn = Asked.learn

    def watched(turns: list[Turn], encoder: HashEncoder) -> tuple[Asked, Vectors]:
        seen.append(turns)
        return learn(turns, encoder)

    monkeypatch.setattr(Asked, "learn", watched)
    open_asked(_write(tmp_path / "many.jsonl", [*_turns(), *_turns(5)[-5:]]), HashEncoder())
    assert [sum(one.answered for one in seen[0]), sum(not one.answered for one in seen[0])] == [4, 5]


def test_a_brands_search_listens_to_its_conversations_unless_told_not_to(tmp_path: Path) -> None:
    encoder, home = HashEncoder(), Home(tmp_path)
    brand = load_config(ROOT / "configs", {}).brands["velmora"]
    brand = brand.model_copy(update={"conversations": _write(tmp_path / "c.jsonl", _turns())})
    add(home.knowledge, "velmora", write_pages(tmp_path / "pages"), encoder)
    question = "could you rent me a lamp monthly"
    on = open_search(home, brand, encoder).search(question)
    deaf = brand.model_copy(update={"retrieval": brand.retrieval.model_copy(update={"asked": False})})
    off = open_search(home, deaf, encoder).search(question)
    assert on.features["asked"] < 0
    assert "asked" not in off.features
    assert [one.text for one in on.passages] == [one.text for one in off.passages]
