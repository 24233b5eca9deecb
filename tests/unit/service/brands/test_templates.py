"""Templates are whole: what they promise to be read, trained on and asked can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.search.asked import MIN_REFUSED
from service.brands.conversations import read
from service.brands.template import Template, answers_to, filled, templates
from training.conversations import read_conversations, read_questions

ALL = list(templates().values())
each = pytest.mark.parametrize("one", ALL, ids=[one.name for one in ALL])


def written(one: Template, folder: Path) -> Path:
    for name, text in filled(one, answers_to(one.about, {"company": 'Fern "&" Hill'})).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_there_are_three() -> None:
    assert sorted(templates()) == ["bank", "shop", "software"]


@each
def test_no_blank_is_left_and_every_blank_is_used(one: Template) -> None:
    texts = {path: path.read_text("utf-8") for path in one.folder.rglob("*") if path.is_file()}
    for blank in one.about.blanks:
        assert any(f"{{{{{blank.name}}}}}" in text for text in texts.values()), blank.name
    assert "{{" not in "".join(filled(one, answers_to(one.about, {"company": "Fernhill"})).values())


@each
def test_conversations_are_those_that_training_reads_and_rest_on_its_pages(one: Template, tmp_path: Path) -> None:
    folder = written(one, tmp_path)
    pages = {path.name for path in (folder / "pages").iterdir()}
    rows = read_conversations(folder / "conversations.jsonl")
    replies = [message for row in rows for message in row.messages if message.role == "assistant"]
    assert 8 <= len(pages) <= 12
    assert 30 <= len(rows) <= 60
    assert {name for reply in replies for name in reply.documents} == pages
    assert sum(reply.outcome == "refused" for reply in replies) >= MIN_REFUSED
    assert {"handed_off", "small_talk"} <= {reply.outcome for reply in replies}
    assert [each.id for each in read(folder / "conversations.jsonl")] == [row.id for row in rows]


@each
def test_questions_ask_about_each_page_and_none_is_trained_on(one: Template, tmp_path: Path) -> None:
    folder = written(one, tmp_path)
    questions = read_questions(folder / "questions.jsonl")
    pages = {path.name: path.read_text("utf-8").lower() for path in (folder / "pages").iterdir()}
    assert {asked.document for asked in questions if asked.document} == set(pages)
    for asked in questions:
        for text in asked.answer_contains:
            assert text.lower() in pages[str(asked.document)], asked.id
            assert text.lower() in str(asked.reference).lower(), asked.id
    rows = read_conversations(folder / "conversations.jsonl")
    said = {message.content.casefold() for row in rows for message in row.messages if message.role == "user"}
    assert not {asked.question.casefold() for asked in questions} & said


@each
def test_figures_of_trained_replies_stand_in_the_pages_that_they_name(one: Template, tmp_path: Path) -> None:
    folder = written(one, tmp_path)
    for row in read_conversations(folder / "conversations.jsonl"):
        for message in row.messages:
            if message.role == "assistant" and message.documents:
                held = " ".join((folder / "pages" / name).read_text("utf-8") for name in message.documents)
                for word in message.content.replace("?", " ").split():
                    figure = word.strip('.,;:"()')
                    if any(c.isdigit() for c in figure):
                        assert figure in held, (row.id, figure)
