"""Files to documents to chunks."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import DocumentUnreadable
from retrieval.loading import MAX_BYTES, document_from_text, load_documents
from retrieval.splitting import searchable, split


def test_each_bad_file_is_skipped_with_its_reason_and_the_good_ones_are_kept(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("# Good\n\ntext", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "plain.txt").write_bytes(b"\xef\xbb\xbfplain\r\ntext")
    (tmp_path / "empty.md").write_text(" \n", encoding="utf-8")
    (tmp_path / "latin.md").write_bytes("caf\xe9".encode("latin-1"))
    (tmp_path / "nul.md").write_bytes(b"a\x00b")
    (tmp_path / "big.md").write_bytes(b"a" * (MAX_BYTES + 1))
    (tmp_path / "page.pdf").write_bytes(b"%PDF")
    (tmp_path / ".hidden.md").write_text("secret", encoding="utf-8")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    (tmp_path / "self.md").symlink_to("self.md")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.md")

    loaded = load_documents(tmp_path)

    assert [document.id for document in loaded.documents] == ["good.md", "sub/plain.txt"]
    assert loaded.documents[1].text == "plain\ntext"
    reasons = {one.path: one.reason for one in loaded.skipped}
    wanted = {
        "empty.md": "empty",
        "latin.md": "not UTF-8",
        "nul.md": "binary",
        "big.md": "larger than 5 MB",
        "page.pdf": "not one of",
        ".hidden.md": "hidden",
        "gone.md": "cannot be read",
        "self.md": "cannot be read",
        "loop": "holds itself",
        "pipe.md": "not a regular file",
    }
    assert reasons.keys() == wanted.keys()
    assert all(reasons[name].startswith(start) or start in reasons[name] for name, start in wanted.items()), reasons


def test_nothing_at_the_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DocumentUnreadable, match="absent"):
        load_documents(tmp_path / "absent")


def test_title_is_the_first_heading_or_else_the_name() -> None:
    assert document_from_text("a.md", "# Delivery\n").title == "Delivery"
    assert document_from_text("gift-cards.md", "no heading").title == "Gift cards"


PAGE = (
    "# Returns\n\nintro\n\n## Opened\n\nopened text\n\n```\n# no heading\n```\n\n"
    "### Perfume\n\nseal\n\n## Steps\n\n1. go\n"
)


def test_every_section_is_a_chunk_with_its_heading_path() -> None:
    chunks = split(document_from_text("returns.md", PAGE))
    assert [chunk.heading for chunk in chunks] == [
        "Returns",
        "Returns > Opened",
        "Returns > Opened > Perfume",
        "Returns > Steps",
    ]
    assert "# no heading" in chunks[1].text
    assert searchable(chunks[2]) == "Returns > Opened > Perfume\nseal"


@given(st.text(alphabet="ab. \n#|-", max_size=400), st.integers(20, 80), st.integers(0, 15))
def test_chunks_are_exact_pieces_that_leave_no_word_out(text: str, size: int, overlap: int) -> None:
    document = document_from_text("x.md", text)
    chunks = split(document, max_chars=size, overlap_chars=overlap)
    covered = set()
    for chunk in chunks:
        assert chunk.text == document.text[chunk.start : chunk.end] == chunk.text.strip()
        assert len(chunk.text) <= size
        covered |= set(range(chunk.start, chunk.end))
    headings = {at for at, line in _lines(document.text) if line.lstrip(" ").startswith("#")}
    for start, line in _lines(document.text):
        if start not in headings and any(letter in "ab" for letter in line):
            assert all(at in covered for at in range(start, start + len(line)) if document.text[at] in "ab")


def _lines(text: str) -> list[tuple[int, str]]:
    found, at = [], 0
    for line in text.split("\n"):
        found.append((at, line))
        at += len(line) + 1
    return found


def test_overlap_repeats_whole_sentences_of_one_section() -> None:
    text = "# T\n\n" + " ".join(f"Sentence number {number} is here." for number in range(30))
    chunks = split(document_from_text("t.md", text), max_chars=200, overlap_chars=60)
    assert len(chunks) > 3
    assert all(later.start < former.end for former, later in pairwise(chunks))
    assert all(chunk.text.startswith("Sentence") for chunk in chunks)
