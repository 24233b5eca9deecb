"""Versions on disk: nothing embedded twice, nothing half written, nothing damaged served."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from retrieval.documents.loading import Loaded, document_from_text
from retrieval.encoder import Vectors
from retrieval.errors import (
    DocumentUnknown,
    IndexCorrupt,
    IndexMismatch,
    RetrievalError,
    StorageFull,
    VersionChanged,
    VersionUnknown,
)
from retrieval.knowledge import inspection, store
from retrieval.knowledge.version_folder import open_version
from retrieval.search.knowledge_base import EMPTY, KnowledgeBase
from retrieval.testing import PAGES, HashEncoder, write_pages


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "pages")


def test_first_add_embeds_everything_and_serves(tmp_path: Path, pages: Path) -> None:
    encoder, steps = HashEncoder(), []
    change = store.add(tmp_path / "k", "velmora", pages, encoder, lambda done, total: steps.append((done, total)))
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", encoder)
    assert change.added == tuple(sorted(PAGES))
    assert knowledge.version == change.version
    assert [one.id for one in knowledge.documents()] == sorted(PAGES)
    assert steps[-1] == (len(encoder.encoded), len(encoder.encoded))


def test_unchanged_pages_make_no_new_version_and_are_not_embedded_again(tmp_path: Path, pages: Path) -> None:
    encoder = HashEncoder()
    first = store.add(tmp_path / "k", "velmora", pages, encoder)
    encoder.encoded.clear()
    again = store.add(tmp_path / "k", "velmora", pages, encoder)
    assert (again.version, again.unchanged, encoder.encoded) == (first.version, tuple(sorted(PAGES)), [])


def test_only_the_changed_page_is_embedded_and_the_vectors_are_those_of_a_fresh_build(
    tmp_path: Path, pages: Path
) -> None:
    encoder = HashEncoder()
    store.add(tmp_path / "k", "velmora", pages, encoder)
    (pages / "returns.md").write_text("# Returns\n\nNothing can be returned.\n", encoding="utf-8")
    encoder.encoded.clear()
    change = store.add(tmp_path / "k", "velmora", pages, encoder)
    assert (change.changed, encoder.encoded) == (("returns.md",), ["Returns\nNothing can be returned."])
    fresh = store.add(tmp_path / "fresh", "velmora", pages, encoder)
    assert fresh.version == change.version
    one, other = (
        open_version(tmp_path / home / "velmora", change.version, encoder).visible(
            audience="public", language=None, today=date(2026, 11, 25)
        )
        for home in ("k", "fresh")
    )
    assert list(one.chunks) == list(other.chunks)
    assert (one.index.vectors() == other.index.vectors()).all()
    assert all((one.tokens.tokens(at) == other.tokens.tokens(at)).all() for at in range(len(one.chunks)))


def test_replace_removes_what_the_folder_no_longer_holds(tmp_path: Path, pages: Path) -> None:
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    (pages / "contact.md").unlink()
    assert store.add(tmp_path / "k", "velmora", pages, HashEncoder()).removed == ()
    assert store.add(tmp_path / "k", "velmora", pages, HashEncoder(), replace=True).removed == ("contact.md",)


def test_remove_takes_documents_out_or_nothing_at_all(tmp_path: Path, pages: Path) -> None:
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    with pytest.raises(DocumentUnknown, match=r"nosuch\.md"):
        store.remove(tmp_path / "k", "velmora", ["returns.md", "nosuch.md"], HashEncoder())
    assert len(inspection.list_documents(tmp_path / "k", "velmora")) == len(PAGES)
    change = store.remove(tmp_path / "k", "velmora", ["returns.md"], HashEncoder())
    assert change.removed == ("returns.md",)
    assert "returns.md" not in [one.id for one in inspection.list_documents(tmp_path / "k", "velmora")]


def test_running_knowledge_base_takes_up_a_new_version_on_refresh_only(tmp_path: Path, pages: Path) -> None:
    encoder = HashEncoder()
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", encoder)
    assert (knowledge.version, knowledge.search("returns").passages) == (EMPTY, ())
    change = store.add(tmp_path / "k", "velmora", pages, encoder)
    assert knowledge.version == EMPTY
    assert knowledge.refresh()
    assert knowledge.version == change.version
    assert not knowledge.refresh()


SEGMENT_FILES = [
    "chunks.jsonl",
    "documents.jsonl",
    "vectors.faiss",
    "tokens/tokens.i8",
    "stems/terms.json",
    "same.npy",
]


def file_of(folder: Path, version: str, name: str) -> Path:
    """A file of a version, or of its only segment."""
    segments = json.loads((folder / version / "manifest.json").read_text("utf-8"))["segments"]
    return folder / "segments" / segments[0] / name


@pytest.mark.parametrize("name", SEGMENT_FILES)
def test_damaged_file_is_found_at_opening(tmp_path: Path, pages: Path, name: str) -> None:
    change = store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    file = file_of(tmp_path / "k" / "velmora", change.version, name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(IndexCorrupt, match=r"not what was written.*kb rollback"):
        KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder())


@pytest.mark.parametrize("pointer", ["../../etc", "", "\x00\xff"])
def test_pointer_that_names_no_version_is_refused(tmp_path: Path, pages: Path, pointer: str) -> None:
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    (tmp_path / "k" / "velmora" / "current").write_bytes(pointer.encode("latin-1"))
    with pytest.raises(IndexCorrupt, match="pointer"):
        KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder())


def test_damaged_new_version_leaves_the_old_one_serving(tmp_path: Path, pages: Path) -> None:
    encoder = HashEncoder()
    first = store.add(tmp_path / "k", "velmora", pages, encoder)
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", encoder)
    (pages / "new.md").write_text("# New\n\nnew", encoding="utf-8")
    change = store.add(tmp_path / "k", "velmora", pages, encoder)
    (tmp_path / "k" / "velmora" / change.version / "documents.json").unlink()
    with pytest.raises(IndexCorrupt):
        knowledge.refresh()
    assert knowledge.version == first.version
    assert knowledge.search("return an unopened item").passages


def test_other_encoder_is_refused_at_opening_and_embeds_everything_at_the_next_add(tmp_path: Path, pages: Path) -> None:
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    other = HashEncoder(name="other")
    with pytest.raises(IndexMismatch, match="Add the pages again"):
        KnowledgeBase.open(tmp_path / "k", "velmora", other)
    store.add(tmp_path / "k", "velmora", pages, other)
    assert other.encoded
    assert KnowledgeBase.open(tmp_path / "k", "velmora", other).search("return an item").passages


class Failing(HashEncoder):
    """Fails while documents are embedded."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def encode_document_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Vectors]]:
        raise self.error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(OSError(errno.ENOSPC, "No space left on device"), StorageFull), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_failure_half_way_changes_nothing(
    tmp_path: Path, pages: Path, raised: BaseException, expected: type[BaseException]
) -> None:
    first = store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    (pages / "new.md").write_text("# New\n\nnew", encoding="utf-8")
    with pytest.raises(expected):
        store.add(tmp_path / "k", "velmora", pages, Failing(raised))
    assert KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder()).version == first.version
    assert sorted(one.name for one in (tmp_path / "k" / "velmora").iterdir()) == sorted(
        [".lock", "current", "segments", first.version]
    )


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path: Path, pages: Path) -> None:
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    (tmp_path / "k" / "velmora" / ".new-left").mkdir()
    (pages / "new.md").write_text("# New\n\nnew", encoding="utf-8")
    store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    assert not list((tmp_path / "k" / "velmora").glob(".new-*"))


def test_version_without_its_folder_can_be_added_again_after_the_pointer_is_gone(tmp_path: Path, pages: Path) -> None:
    change = store.add(tmp_path / "k", "velmora", pages, HashEncoder())
    (tmp_path / "k" / "velmora" / "current").unlink()
    shutil.rmtree(file_of(tmp_path / "k" / "velmora", change.version, "tokens"))
    assert store.add(tmp_path / "k", "velmora", pages, HashEncoder()).version == change.version
    assert KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder()).documents()


@pytest.mark.parametrize("brand", ["../other", "A", "", "x/y"])
def test_brand_name_is_no_way_out_of_the_folder(tmp_path: Path, pages: Path, brand: str) -> None:
    with pytest.raises(RetrievalError, match="not a brand's name"):
        store.add(tmp_path / "k", brand, pages, HashEncoder())
    assert not (tmp_path / "k").exists()


def test_one_document_is_restored_and_the_others_stay(tmp_path: Path) -> None:
    encoder = HashEncoder()
    first = store.add(tmp_path, "velmora", write_pages(tmp_path / "pages"), encoder, by="Cleo").version
    store.add_documents(tmp_path, "velmora", [document_from_text("new.md", "# New\n\nA new thing.")], encoder)
    store.remove(tmp_path, "velmora", ["contact.md", "returns.md"], encoder, by="Ben")
    change = store.restore(tmp_path, "velmora", "returns.md", first, encoder, by="Dewi")
    assert change.added == ("returns.md",)
    held = {one.id: one.by for one in inspection.list_documents(tmp_path, "velmora")}
    assert held == {"new.md": "", "returns.md": "Dewi", "shipping.md": "Cleo"}
    assert store.restore(tmp_path, "velmora", "returns.md", first, encoder).version == change.version
    with pytest.raises(DocumentUnknown):
        store.restore(tmp_path, "velmora", "new.md", first, encoder)
    with pytest.raises(VersionUnknown):
        store.restore(tmp_path, "velmora", "returns.md", "abcdefabcdef", encoder)


def test_who_changed_a_document_stays_known_when_others_change(tmp_path: Path) -> None:
    encoder = HashEncoder()
    store.add(tmp_path, "velmora", write_pages(tmp_path / "pages"), encoder, by="Cleo")
    text = inspection.read_document(tmp_path, "velmora", "returns.md")
    store.amend(tmp_path, "velmora", "returns.md", "# Returns\n\nNever.", encoder, expected=text.sha256, by="Ben")
    # Of another encoder all are embedded again.
    store.remove(tmp_path, "velmora", ["contact.md"], HashEncoder(name="other"), by="Dewi")
    entries = inspection.list_documents(tmp_path, "velmora")
    assert {one.id: one.by for one in entries} == {"returns.md": "Ben", "shipping.md": "Cleo"}
    assert all(one.changed for one in entries)
    assert [one.by for one in inspection.versions(tmp_path, "velmora")] == ["Dewi", "Ben", "Cleo"]


def test_nobody_rolls_back_what_somebody_else_has_changed_meanwhile(tmp_path: Path) -> None:
    encoder = HashEncoder()
    first = store.add(tmp_path, "velmora", write_pages(tmp_path / "pages"), encoder).version
    second = store.remove(tmp_path, "velmora", ["contact.md"], encoder).version
    third = store.remove(tmp_path, "velmora", ["returns.md"], encoder).version
    with pytest.raises(VersionChanged):
        store.rollback(tmp_path, "velmora", encoder, first, expected=second)
    assert store.rollback(tmp_path, "velmora", encoder, first, expected=third) == first


def test_what_a_progress_raises_ends_a_taking_in_without_a_change(tmp_path: Path) -> None:
    encoder = HashEncoder()
    first = store.add(tmp_path, "velmora", write_pages(tmp_path / "pages"), encoder).version
    loaded = Loaded((document_from_text("new.md", "# New\n\nA new thing."),), ())

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.take_in(tmp_path, "velmora", loaded, "", encoder, stop)
    assert [one.name for one in inspection.versions(tmp_path, "velmora")] == [first]
    assert store.take_in(tmp_path, "velmora", loaded, "", encoder).added == ("new.md",)
