"""Documents that are damaged or made to do harm: each is left out with its reason, and the others are read."""

from __future__ import annotations

import io
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pypdf
import pytest

from retrieval.documents import loading
from retrieval.documents.loading import load_documents
from retrieval.documents.readers.extract import Limits, Refused
from retrieval.documents.readers.sandbox import Sandbox
from retrieval.documents.reading import read_document
from retrieval.documents.splitting import MAX_CHARS, split
from tests.unit.retrieval import made

GOOD = made.word_xml("<w:p><w:r><w:t>good</w:t></w:r></w:p>")
BAD_WORKER = "tests.unit.retrieval.bad_worker"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(cpu_seconds=10, wall_seconds=20, chars=1_000_000, unpacked_bytes=20_000_000)) as box:
        yield box


def encrypted() -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def bomb(size: int) -> bytes:
    """A DOCX whose text is `size` times one letter."""
    return made.docx(made.word_xml("<w:p><w:r><w:t>" + "a" * size + "</w:t></w:r></w:p>"))


LAUGHS = (
    "<!DOCTYPE x [<!ENTITY a 'ha'>"
    + "".join(f"<!ENTITY {chr(98 + at)} '{f'&{chr(97 + at)};' * 10}'>" for at in range(9))
    + "]>"
)
LAUGH = made.word_xml("<w:p><w:r><w:t>&j;</w:t></w:r></w:p>", LAUGHS)
PDF = made.pdf([made.line("text", 700)])

BAD = {
    "encrypted.pdf": (encrypted, "encrypted"),
    "cyclic.pdf": (lambda: made.pdf([made.line("a", 700)], kids="2 0 R"), "cyclic"),
    "empty-pages.pdf": (lambda: made.pdf([]), "no pages"),
    "long.pdf": (lambda: made.pdf([""], kids="4 0 R " * 10_000, count=10_000), "10,000 pages"),
    "long-and-lying.pdf": (lambda: made.pdf([""], kids="4 0 R " * 10_000, count=1), "pages"),
    "scan.pdf": (lambda: made.pdf(["0 0 100 100 re f"]), "no text in it"),
    "cut.pdf": (lambda: PDF[: len(PDF) // 3], "damaged"),
    "header-only.pdf": (lambda: b"%PDF-1.7\n", "damaged"),
    "text.pdf": (lambda: b"only words", "not PDF"),
    "bomb.docx": (lambda: bomb(300_000_000 // 100), "longer"),
    "unpacked.docx": (
        lambda: made.docx(GOOD, {f"word/media/{n}.bin": bytes(5_000_000) for n in range(5)}),
        "25 MB when",
    ),
    "laughs.docx": (lambda: made.docx(LAUGH), "document type"),
    "laughs-utf16.docx": (lambda: made.docx(GOOD, {"word/styles.xml": LAUGH.encode("utf-16")}), "document type"),
    "utf7.docx": (
        lambda: made.docx(GOOD, {"word/styles.xml": b"<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE x+AD4-"}),
        "an encoding that Office does not write",
    ),
    "macros.docx": (lambda: made.docx(GOOD, {"word/vbaProject.bin": b"x"}), "macros"),
    "deep.docx": (lambda: made.docx(made.word_xml("<w:sdt>" * 5000 + "</w:sdt>" * 5000)), ""),
    "cut.docx": (lambda: made.docx(GOOD)[:-30], "damaged"),
    "entries-without-end.docx": (lambda: made.docx(GOOD, {f"x/{n}": b"" for n in range(5_001)}), "parts inside"),
    "nothing.docx": (lambda: made.docx(made.word_xml("")), "empty"),
    "archive.docx": (lambda: made.packed({"readme.txt": b"hello"}), "zip archive"),
    "old.docx": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Office file"),
    "picture.pdf": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(60), "a picture"),
    "packed.html": (lambda: b"\x1f\x8b" + zlib.compress(b"x"), "compressed"),
    "deep.html": (lambda: b"<body>" + b"<div>" * 5_000 + b"x", "nested"),
    "line.csv": (lambda: b"question,answer\nwhy," + b"a" * 10_000_000, "longer"),
    "line.html": (lambda: b"<p>" + b"a " * 5_000_000, "longer"),
    "line.txt": (lambda: b"a" * 10_000_000, "larger than 5 MB"),
    "deep.json": (lambda: b"[" * 100_000, "nested"),
    "words.json": (lambda: b"no json", "not JSON"),
    "empty.html": (lambda: b"<html><body></body></html>", "empty"),
    **{
        f"empty{suffix}": (lambda: b"", "empty")
        for suffix in (".pdf", ".docx", ".csv", ".json", ".md", ".xlsx", ".pptx")
    },
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_with_its_reason(sandbox: Sandbox, name: str) -> None:
    make, reason = BAD[name]
    with pytest.raises(Refused) as refusal:
        read_document(name, make(), Path(name).suffix, sandbox)
    assert reason in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_the_bad_ones_of_a_folder_do_not_keep_the_good_ones_out(tmp_path: Path) -> None:
    for name in ("encrypted.pdf", "cyclic.pdf", "laughs.docx", "deep.html", "empty.json"):
        (tmp_path / name).write_bytes(BAD[name][0]())
    (tmp_path / "macros.docm").write_bytes(made.docx(GOOD))
    (tmp_path / "good.docx").write_bytes(made.docx(GOOD))
    (tmp_path / "zz.pdf").write_bytes(PDF)
    loaded = load_documents(tmp_path)
    assert [document.id for document in loaded.documents] == ["good.docx", "zz.pdf"]
    assert [one.path for one in loaded.skipped] == [
        "cyclic.pdf",
        "deep.html",
        "empty.json",
        "encrypted.pdf",
        "laughs.docx",
        "macros.docm",
    ]


def test_an_archive_that_states_a_smaller_size_than_it_has_gives_no_more_than_it_states(sandbox: Sandbox) -> None:
    data = bytearray(bomb(100_000))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        part = archive.getinfo("word/document.xml")
    size = part.file_size.to_bytes(4, "little")
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = (100).to_bytes(4, "little")
    with pytest.raises(Refused, match="damaged"):
        read_document("a.docx", bytes(data), ".docx", sandbox)


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (b"hang", "took more than 1.5 s"),
        (b"spin", "took more than 1 s of processor time"),
        (b"grow", "of memory"),
        (b"crash", "crashed"),
        (b"write", "damaged (OSError"),
        (b"flood", "longer"),
    ],
)
def test_a_parser_that_misbehaves_is_stopped_and_the_next_document_is_read(deed: bytes, reason: str) -> None:
    wall = 1.5 if deed == b"hang" else 20
    limits = Limits(cpu_seconds=1, wall_seconds=wall, memory_bytes=300_000_000, chars=10_000)
    with Sandbox(limits, module=BAD_WORKER) as box:
        assert box.read(b"before", "any").parts == ("before",)
        with pytest.raises(Refused) as refusal:
            box.read(deed, "any")
        assert reason in str(refusal.value)
        assert box.read(b"after", "any").parts == ("after",)


def test_what_a_parser_prints_is_no_answer_and_it_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDVOICE_SECRET", "x")
    with Sandbox(module=BAD_WORKER) as box:
        assert box.read(b"noise", "any").parts == ("noise",)
        assert "BRANDVOICE_SECRET" not in box.read(b"secret", "any").parts[0]


def test_a_document_is_read_whatever_those_before_it_left_in_memory() -> None:
    with Sandbox(Limits(memory_bytes=300_000_000), module=BAD_WORKER) as box:
        assert box.read(b"keep", "any").parts == ("keep",)
        assert box.read(b"need", "any").parts == ("need",)


def test_a_missing_library_is_named_with_the_way_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.documents.readers import worker

    monkeypatch.setitem(__import__("sys").modules, "pypdf", None)
    monkeypatch.setattr(worker.resource, "setrlimit", lambda *_: None)
    assert worker._answer({"format": "pdf"}, PDF, Limits()) == {
        "refused": "needs pypdf, which is not installed; install it: pip install 'brandvoice[docs]'"
    }


def test_a_folder_that_goes_away_while_it_is_read_leaves_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.md", "b.md", "sub/c.md", "sub/deep/d.md"):
        (tmp_path / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages" / name).write_text(f"# {name}", encoding="utf-8")
    read = loading.read_document

    def and_remove(*args: object, **named: object) -> object:
        shutil.rmtree(tmp_path / "pages", ignore_errors=True)
        return read(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "read_document", and_remove)
    loaded = load_documents(tmp_path / "pages")
    assert [document.id for document in loaded.documents] == ["a.md"]
    assert {one.path: one.reason for one in loaded.skipped} == {
        "b.md": "cannot be read (No such file or directory)",
        "sub": "cannot be opened (No such file or directory)",
    }


def test_a_table_of_5000_rows_is_read_and_every_part_knows_what_its_columns_mean(sandbox: Sandbox) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    sheet.append(["Article", "Price"])
    for number in range(5000):
        sheet.append([f"lamp {number}", number])
    file = io.BytesIO()
    book.save(file)
    document, _ = read_document("stock.xlsx", file.getvalue(), ".xlsx", sandbox)
    chunks = split(document)
    assert len(chunks) > 100
    assert all("Article | Price" in chunk.heading or chunk.text.startswith("| Article | Price |") for chunk in chunks)
    assert all(len(chunk.text) <= MAX_CHARS for chunk in chunks)
    assert all(line.startswith("| ") and line.endswith(" |") for chunk in chunks[1:] for line in chunk.text.split("\n"))
    assert [line for chunk in chunks for line in chunk.text.split("\n") if "lamp" in line] == [
        f"| lamp {number} | {number} |" for number in range(5000)
    ]
