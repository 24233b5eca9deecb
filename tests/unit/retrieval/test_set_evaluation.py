"""Measuring search on a corpus from outside: files read strictly, measures by hand, a report with nulls."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from retrieval.errors import LinesInvalid
from retrieval.evaluation import metrics
from retrieval.evaluation.question_sets import Asked, read_corpus, read_questions
from retrieval.evaluation.set_evaluation import evaluate_set
from retrieval.testing import PAGES, HashEncoder


def lines(file: Path, *rows: object) -> Path:
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return file


def test_measures_agree_with_a_calculation_by_hand() -> None:
    ranked, gold = ["a", "b", "c", "d"], {"b", "d", "z"}
    assert [metrics.hit(ranked, gold, depth) for depth in (1, 2)] == [0.0, 1.0]
    assert metrics.recall(ranked, gold, 3) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(ranked, gold) == 0.5
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert metrics.ndcg(ranked, gold, 10) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert metrics.ndcg([], gold, 10) == metrics.reciprocal_rank([], gold) == 0.0


def test_measures_of_refusal_count_ties_and_allow_the_share_of_mistakes() -> None:
    assert metrics.area_under_curve([0.9, 0.5], [0.5, 0.1]) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    right = [at / 100 for at in range(100)]
    assert metrics.refused_at(right, [0.04, 0.05, 0.01, 0.9], 0.05) == 0.5
    assert metrics.refused_at([1.0], [0.5], 0.05) == 1.0


def test_interval_holds_the_mean_and_is_the_same_twice() -> None:
    low, high = metrics.interval([0.0, 1.0] * 50)
    assert low < 0.5 < high
    assert metrics.interval([0.0, 1.0] * 50) == (low, high)
    assert metrics.interval([0.25] * 10) == (0.25, 0.25)


def test_last_user_message_is_the_question_and_earlier_ones_its_history(tmp_path: Path) -> None:
    said = [("user", "a scarf"), ("assistant", "Which?"), ("user", "the silk one"), ("assistant", "It is.")]
    messages = [{"role": role, "content": content} for role, content in said]
    file = lines(
        tmp_path / "q", {"messages": messages, "gold": ["x", "x"], "more": 1}, {"question": " Hi ", "gold": []}
    )
    assert read_questions(file) == (Asked("the silk one", ("a scarf",), ("x",), None), Asked("Hi"))


def test_title_becomes_the_first_heading_and_no_title_is_made_up(tmp_path: Path) -> None:
    titled, bare = read_corpus(
        lines(tmp_path / "c", {"id": "1", "title": "A\nB", "text": "x"}, {"id": "2", "text": "y"})
    )
    assert (titled.title, titled.text) == ("A B", "# A B\n\nx")
    assert (bare.title, bare.text) == ("", "y")


def test_every_bad_line_is_named_by_file_and_line(tmp_path: Path) -> None:
    corpus = lines(tmp_path / "c.jsonl", {"id": "1", "text": "x"}, "{", "", {"id": "1", "text": "y"}, {"id": "3"}, "[]")
    with pytest.raises(LinesInvalid) as refused:
        read_corpus(corpus)
    assert [one.line for one in refused.value.lines] == [2, 4, 5, 6]
    assert f"{corpus}:4: the id '1' stands in line 1 already" in str(refused.value)
    questions = lines(tmp_path / "q.jsonl", {"gold": ["1"]}, {"question": "x"}, {"messages": [], "gold": []})
    with pytest.raises(LinesInvalid, match=r"q\.jsonl:2: give `gold`, `answerable` or both") as refused:
        read_questions(questions)
    assert len(refused.value.lines) == 3


def test_an_absent_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LinesInvalid, match="cannot be read"):
        read_corpus(tmp_path / "absent")
    with pytest.raises(LinesInvalid, match="the file is empty"):
        read_questions(lines(tmp_path / "empty"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return lines(tmp_path / "corpus.jsonl", *({"id": name, "text": text} for name, text in PAGES.items()))


def measured(corpus: Path, *asked: Asked) -> dict[str, Any]:
    return evaluate_set(read_corpus(corpus), asked, HashEncoder(), top_k=3)


def test_report_ranks_documents_by_their_best_chunk_and_leaves_out_what_has_no_gold(corpus: Path) -> None:
    found = measured(
        corpus,
        Asked("Can an unopened item be returned within 30 days?", gold=("returns.md",), answerable=True),
        Asked("What does express delivery cost?", gold=("shipping.md", "absent"), answerable=True),
        Asked("Who painted the ceiling of the chapel?", answerable=False),
    )
    assert found["questions"] == 3
    assert found["hit@1"] == found["hit@5"] == found["mrr"] == 1.0
    assert found["recall@10"] == 0.75
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"]
    assert found["answerability"] == {"auroc": 1.0, "refusal_rate_at_5pct_false_refusals": 1.0}


def test_a_document_whose_text_another_one_holds_too_counts_as_found(tmp_path: Path) -> None:
    rows = [{"id": name, "text": "Parcels leave on Monday."} for name in ("one", "two")]
    found = measured(lines(tmp_path / "c", *rows), Asked("When do parcels leave?", gold=("two",)))
    assert found["hit@5"] == 1.0


def test_report_says_null_where_nothing_can_be_computed(corpus: Path) -> None:
    found = measured(corpus, Asked("anything", answerable=True))
    ranking = ("hit@1", "hit@5", "hit@10", "recall@10", "ndcg@10", "mrr")
    assert all(found[name] is None for name in ranking)
    assert found["answerability"] == {"auroc": None, "refusal_rate_at_5pct_false_refusals": None}
