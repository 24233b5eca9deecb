"""When a question is asked back: it names nothing, and nothing was said before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.routing.clarity import names_no_matter

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.mark.parametrize(
    "question", ["How much is it?", "what about the other one?", "Is that possible?", "and how long?"]
)
def test_question_that_only_points_somewhere_cannot_be_understood(question: str) -> None:
    assert names_no_matter(question, ()) is not None


@pytest.mark.parametrize(
    "question", ["How much is delivery?", "Is it open on 24 December?", "Does it fit in Oslo?", "fees?"]
)
def test_question_with_a_matter_is_searched_for(question: str) -> None:
    assert names_no_matter(question, ()) is None


def test_what_was_said_before_explains_what_a_question_points_to() -> None:
    assert names_no_matter("How much is it?", ("Do you have gift cards?",)) is None
    assert names_no_matter("How much is it?", ("Hello!",)) is not None


@pytest.mark.parametrize("brand", ["velmora", "dicehollow"])
def test_no_answerable_question_of_a_sample_brand_is_asked_back(brand: str) -> None:
    asked_back = [
        row["question"]
        for row in map(json.loads, (SAMPLES / brand / "questions.jsonl").read_text("utf-8").splitlines())
        if row["document"] and names_no_matter(row["question"], ())
    ]
    for row in map(json.loads, (SAMPLES / brand / "conversations.jsonl").read_text("utf-8").splitlines()):
        messages = row["messages"]
        for at in range(0, len(messages), 2):
            history = [one["content"] for one in messages[:at] if one["role"] == "user"]
            if messages[at + 1]["outcome"] == "answered" and names_no_matter(messages[at]["content"], history):
                asked_back.append(messages[at]["content"])
    assert asked_back == []
