"""Chunks that say the same are searched once; chunks that differ in a fact never are taken for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.documents.duplicates import same_as
from retrieval.knowledge import store
from retrieval.knowledge.inspection import show_document
from retrieval.passages import Chunk
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder, write_pages

ORIGINAL = "An unopened item can be returned within 30 days, and we pay for the parcel. It costs you $6.50 otherwise."


def number(text: str, heading: str = "Returns") -> int:
    return same_as(Chunk("a#0", "a", "Returns", heading, text, 0, len(text)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("An unopened", "an  UNOPENED"),
        (", and", " and"),
        ("item", "items"),
        ("the parcel", "a parcel"),
        ("days", "days\n"),
    ],
)
def test_the_same_words_written_otherwise_are_a_duplicate(old: str, new: str) -> None:
    assert number(ORIGINAL.replace(old, new)) == number(ORIGINAL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unopened", "opened"), ("can", "cannot"), ("30", "14"), ("we pay", "you pay"), ("$6.50", "$650"),
        ("$6.50", "€6.50"), ("within", "after"), ("the parcel", "no parcel"), ("costs you", "costs"),
    ],
)  # fmt: skip
def test_one_fact_more_or_less_is_no_duplicate(old: str, new: str) -> None:
    assert old in ORIGINAL
    assert number(ORIGINAL.replace(old, new)) != number(ORIGINAL)


def test_the_same_words_under_another_heading_are_no_duplicate() -> None:
    assert number("It weighs 3 kg.", "Returns > Lamp") != number("It weighs 3 kg.", "Returns > Chair")


def test_a_copied_page_is_listed_as_an_alias_and_takes_over_when_the_first_one_goes(tmp_path: Path) -> None:
    home, text = tmp_path / "k", f"# Returns\n\n{ORIGINAL}\n"
    pages = write_pages(
        tmp_path / "p", {"a.md": text, "copy.md": text.replace("An un", "an un"), "z.md": "# Z\n\nOther."}
    )
    change = store.add(home, "velmora", pages, HashEncoder())
    assert (change.chunks, change.duplicates) == (3, 1)
    knowledge = KnowledgeBase.open(home, "velmora", HashEncoder())
    found = knowledge.search("can an unopened item be returned", top_k=9).passages
    assert [one.document for one in found] == ["a.md", "z.md"]
    assert [one.aliases for one in show_document(home, "velmora", "a.md")[1]] == [("copy.md#0",)]
    assert [one.alias_of for one in show_document(home, "velmora", "copy.md")[1]] == ["a.md#0"]
    assert store.remove(home, "velmora", ["a.md"], HashEncoder()).duplicates == 0
    knowledge.refresh()
    assert knowledge.search("can an unopened item be returned").passages[0].document == "copy.md"


def test_an_internal_copy_does_not_hide_the_public_page(tmp_path: Path) -> None:
    text = f"# Returns\n\n{ORIGINAL}\n"
    pages = write_pages(tmp_path / "p", {"a.md": f"---\naudience: internal\n---\n{text}", "b.md": text})
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder())
    assert [one.document for one in knowledge.search("unopened item").passages] == ["b.md"]
