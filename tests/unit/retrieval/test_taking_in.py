"""From documents of any format to a version on disk and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.documents.loading import Note
from retrieval.knowledge import store
from retrieval.passages import Document
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder
from service.cli.failures import explain
from tests.unit.retrieval import made

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.mark.parametrize(("brand", "version"), [("velmora", "50716613af3e"), ("dicehollow", "fb152a3c28a7")])
def test_the_versions_of_the_sample_brands_have_the_names_they_had_before(
    tmp_path: Path, brand: str, version: str
) -> None:
    # As named when only Markdown was read; adapters say which version stood in their prompts.
    assert store.add(tmp_path, brand, SAMPLES / brand / "pages", HashEncoder()).version == version


def test_pages_and_notes_survive_the_way_to_disk_and_search(tmp_path: Path) -> None:
    pages = [made.line("We open at nine.", 700), made.line("Parcels leave at noon.", 700)]
    pages[0] += made.line("secret", 600, before="3 Tr")
    source = tmp_path / "pages"
    source.mkdir()
    (source / "hours.pdf").write_bytes(made.pdf(pages))
    (source / "broken.pdf").write_bytes(b"%PDF-1.4")
    change = store.add(tmp_path / "knowledge", "velmora", source, HashEncoder())
    assert change.added == ("hours.pdf",)
    assert [one.path for one in change.skipped] == ["broken.pdf"]
    assert change.notes == (Note("hours.pdf", "invisible characters of a PDF", 6),)
    assert store.add(tmp_path / "knowledge", "velmora", source, HashEncoder()).unchanged == ("hours.pdf",)
    found = KnowledgeBase.open(tmp_path / "knowledge", "velmora", HashEncoder()).search("We open at nine", top_k=1)
    assert [passage.page for passage in found.passages] == [1]


def test_pages_are_a_tuple_again_when_a_document_comes_back_from_json() -> None:
    assert Document("a.pdf", "A", "one", "", pages=json.loads("[0, 5]")).pages == (0, 5)


def test_an_address_that_is_not_public_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not a public address") as raised:
        store.add(tmp_path, "velmora", "http://169.254.169.254/latest", HashEncoder())
    failure = explain(raised.value)
    assert failure is not None
    assert failure.what == "nothing was taken in"
    assert not list(tmp_path.rglob("documents.jsonl"))
