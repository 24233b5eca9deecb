"""The sample brands' held-out questions: enough for the gate, each answered by its page, none trained on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from configs.cases import MIN_CASES_A_MEASURE
from configs.load import load_config
from retrieval.language.sentences import split_sentences
from training.conversations import Question, read_conversations, read_questions
from training.data.similar import groups
from training.data.split import assert_no_overlap

SAMPLES = Path(__file__).parents[2] / "samples"
BRANDS = ("dicehollow", "velmora")
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
AVOIDED = {
    "dicehollow": ("kindly", "regret", "esteemed", "at your disposal", "terms and conditions", "noob"),
    "velmora": ("!", "hey", "guys", "deal", "cheap", "awesome", "no worries", "oops", "super", "stuff", "grab", "asap"),
}
"""What the voice guides keep out of a reply."""
CONTRACTION = re.compile(r"n't\b|\b(?:it|that|we|you|they|I)'(?:s|re|ve|ll|m|d)\b", re.IGNORECASE)


def questions(brand: str) -> tuple[Question, ...]:
    return read_questions(SAMPLES / brand / "questions.jsonl")


def pages(brand: str) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in (SAMPLES / brand / "pages").iterdir()}


def trained_on(brand: str) -> list[str]:
    rows = read_conversations(SAMPLES / brand / "conversations.jsonl")
    return [said.content for row in rows for said in row.messages if said.role == "user"]


@pytest.mark.parametrize("brand", BRANDS)
def test_there_are_cases_enough_for_the_gate(brand: str) -> None:
    asked = questions(brand)
    assert len(asked) >= load_config(SAMPLES.parent / "configs", {}).brands[brand].gate.min_cases
    for measured in (
        [one for one in asked if one.document],
        [one for one in asked if not one.document and not one.handoff],
        [one for one in asked if one.handoff],
    ):
        assert len(measured) >= MIN_CASES_A_MEASURE


@pytest.mark.parametrize("brand", BRANDS)
def test_every_page_is_asked_about_and_holds_what_a_right_answer_holds(brand: str) -> None:
    held = pages(brand)
    answerable = [one for one in questions(brand) if one.document]
    assert {one.document for one in answerable} == held.keys()
    for one in answerable:
        page = held[str(one.document)].lower()
        assert one.answer_contains, one.id
        assert [part for part in one.answer_contains if part.lower() not in page] == [], one.id


@pytest.mark.parametrize("brand", BRANDS)
def test_every_reference_is_right_by_its_page_and_in_the_form_of_the_voice_guide(brand: str) -> None:
    held = pages(brand)
    replies = {
        said.content for row in read_conversations(SAMPLES / brand / "conversations.jsonl") for said in row.messages
    }
    for one in questions(brand):
        assert (one.reference is None) == (one.document is None), one.id
        if one.reference is None:
            continue
        assert [part for part in one.answer_contains if part.lower() not in one.reference.lower()] == [], one.id
        assert set(NUMBER.findall(one.reference)) <= set(NUMBER.findall(held[str(one.document)])), one.id
        assert 1 <= len(split_sentences(one.reference)) <= 3, one.id
        assert one.reference.count("!") <= 2, one.id
        assert one.reference not in replies, one.id
        for avoided in AVOIDED[brand]:
            assert not re.search(rf"(?<!\w){re.escape(avoided)}(?!\w)", one.reference, re.IGNORECASE), one.id
        assert brand != "velmora" or not CONTRACTION.search(one.reference), one.id


def test_no_question_is_asked_twice_or_trained_on_in_either_brand() -> None:
    learnt = [text for brand in BRANDS for text in trained_on(brand)]
    asked = {brand: [one.question for one in questions(brand)] for brand in BRANDS}
    for texts in asked.values():
        assert_no_overlap(learnt, texts)
        assert groups(texts) == list(range(len(texts)))
    assert_no_overlap(asked["velmora"], asked["dicehollow"])
