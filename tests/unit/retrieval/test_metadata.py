"""What a document says about itself: read strictly, kept out of the text, and obeyed by every search."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from retrieval.documents.loading import load_documents
from retrieval.errors import MetadataInvalid
from retrieval.knowledge import store
from retrieval.metadata import Metadata, read_metadata, split_front_matter
from retrieval.search import knowledge_base
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder, write_pages

TODAY = date(2026, 11, 25)


def test_front_matter_is_read_and_is_no_part_of_the_text(tmp_path: Path) -> None:
    front = "---\nlanguage: de\naudience: internal\nvalid_from: 2026-01-01\nsource: https://a.example/b\n---\n"
    text = "# Preise\n\nViel.\n"
    write_pages(tmp_path, {"a.md": front + text, "b.md": text})
    one, other = load_documents(tmp_path).documents
    assert one.metadata == Metadata("de", "internal", date(2026, 1, 1), None, "https://a.example/b")
    assert (one.text, one.sha256, one.title) == (other.text, other.sha256, "Preise")


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nA ruler first.\n\n---\n\nAnd one later.",
        "---\nnever closed: true\n",
        "# Title\n\n---\naudience: internal\n---\n",
        "",
    ],
)
def test_what_only_looks_like_front_matter_stays_text(text: str) -> None:
    assert split_front_matter(text) == (None, text)


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("audiense: internal", "did you mean 'audience'"),
        ("layout: post", "known are language, audience"),
        ("audience: staff", "audience.*'staff'"),
        ("valid_until: soon", "valid_until"),
        ("language: German", "language"),
        ("valid_from: 2027-01-02\nvalid_until: 2027-01-01", "ends .* before it begins"),
        ("a: [", "not YAML"),
        ("source: ''", "source"),
    ],
)
def test_bad_metadata_leaves_the_document_out_and_says_why(tmp_path: Path, front: str, reason: str) -> None:
    write_pages(tmp_path, {"a.md": f"---\n{front}\n---\ntext", "b.txt": "text", "b.txt.meta.yaml": front})
    loaded = load_documents(tmp_path)
    assert [one.path for one in loaded.skipped] == ["a.md", "b.txt"]
    assert loaded.documents == ()
    for one in loaded.skipped:
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(one.reason)


def test_a_side_file_speaks_for_any_document_and_is_none_itself(tmp_path: Path) -> None:
    write_pages(
        tmp_path,
        {
            "a.txt": "text", "a.txt.meta.yaml": "audience: internal\n",
            "b.md": "---\naudience: internal\n---\ntext", "b.md.meta.yaml": "language: en\n",
            "gone.md.meta.yaml": "language: en\n",
        },
    )  # fmt: skip
    loaded = load_documents(tmp_path)
    assert [(one.id, one.metadata.audience) for one in loaded.documents] == [("a.txt", "internal")]
    assert [(one.path, one.reason.split(";")[0]) for one in loaded.skipped] == [
        ("b.md", "metadata at its top and in b.md.meta.yaml"),
        ("gone.md.meta.yaml", "the document that it describes is not there"),
    ]


@pytest.mark.parametrize(
    ("said", "audience", "language", "seen"),
    [
        ({}, "public", None, True),
        ({"audience": "internal"}, "public", None, False),
        ({"audience": "internal"}, "internal", None, True),
        ({"valid_from": TODAY}, "public", None, True),
        ({"valid_until": TODAY}, "public", None, True),
        ({"valid_from": date(2026, 11, 26)}, "internal", None, False),
        ({"valid_until": date(2026, 11, 24)}, "internal", None, False),
        ({"language": "de"}, "public", "de", True),
        ({"language": "de-AT"}, "public", "de", True),
        ({"language": "de"}, "public", "den", False),
        ({"language": "de"}, "public", None, True),
        ({}, "public", "de", True),
    ],
)
def test_who_finds_a_document_and_when(
    said: dict[str, object], audience: str, language: str | None, seen: bool
) -> None:
    metadata = read_metadata(said)
    assert metadata.visible(audience=audience, language=language, today=TODAY) == seen
    assert Metadata.from_said(metadata.said()) == metadata


def test_metadata_must_be_a_mapping() -> None:
    with pytest.raises(MetadataInvalid, match="key: value"):
        read_metadata(["audience"])


def test_nothing_of_a_hidden_page_is_found_counted_or_corrected_with(tmp_path: Path) -> None:
    shown = {"a.md": "# Lamps\n\nThe lamp costs $5.", "b.md": "# Chairs\n\nThe chair costs $9."}
    hidden = {
        "c.md": "---\naudience: internal\n---\n# Margins\n\nThe lamp lamp lamp costs us $1. Ask Brunhilda.",
        "d.md": "---\nvalid_until: 2020-01-01\n---\n# Sale\n\nThe lamp costs $2.",
        "e.md": "---\nvalid_from: 2999-01-01\n---\n# Later\n\nThe lamp costs $3.",
    }
    encoder = HashEncoder()
    store.add(tmp_path / "k", "velmora", write_pages(tmp_path / "all", {**shown, **hidden}), encoder)
    store.add(tmp_path / "shown", "velmora", write_pages(tmp_path / "some", shown), encoder)
    one = KnowledgeBase.open(tmp_path / "k", "velmora", encoder)
    other = KnowledgeBase.open(tmp_path / "shown", "velmora", encoder)
    for question in ("what does the lamp cost", "who is brunhilds"):
        found, expected = one.search(question, top_k=9), other.search(question, top_k=9)
        assert (found.query, found.passages, found.features) == (expected.query, expected.passages, expected.features)
    assert one.search("who is brunhilds", audience="internal").query == "who is brunhilda"


def test_a_page_stops_answering_when_its_last_day_is_over_without_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = write_pages(tmp_path / "p", {"a.md": f"---\nvalid_until: {TODAY}\n---\n# Sale\n\nThe sale is on."})
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    days = iter([TODAY, TODAY, date(2026, 11, 26)])
    monkeypatch.setattr(knowledge_base, "_today", lambda: next(days))
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder())
    assert knowledge.search("is the sale on").passages
    assert knowledge.search("is the sale on").passages == ()


def test_only_documents_in_the_wanted_language_or_in_none_are_found(tmp_path: Path) -> None:
    pages = {
        "de.md": "---\nlanguage: de\n---\nThe gift card text.",
        "en.md": "---\nlanguage: en\n---\nThe gift card text here.",
        "any.md": "Another gift card text.",
    }
    store.add(tmp_path / "k", "velmora", write_pages(tmp_path / "p", pages), HashEncoder())
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder())
    found = knowledge.search("gift card", language="de", top_k=9).passages
    assert {one.document for one in found} == {"de.md", "any.md"}
    assert len(knowledge.search("gift card", top_k=9).passages) == 3
