"""Documents of every format to text: headings, lists, tables and pages are kept."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator

import docx
import openpyxl
import pptx
import pytest

from retrieval.documents.readers.extract import Refused
from retrieval.documents.readers.sandbox import Sandbox
from retrieval.documents.reading import Note, read_document
from retrieval.documents.splitting import split
from retrieval.passages import Document
from tests.unit.retrieval import made


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


def read(sandbox: Sandbox, name: str, data: bytes | str) -> tuple[Document, dict[str, int]]:
    data = data.encode() if isinstance(data, str) else data
    document, notes = read_document(name, data, "." + name.rpartition(".")[2], sandbox)
    return document, {note.kind: note.count for note in notes}


HELP_PAGE = """<!doctype html><html><head><title>Returns | Lumen Help</title><style>.x{color:red}</style></head><body>
<header><a href="/">Lumen</a><nav><ul><li>Home<li>Shop</ul></nav></header>
<main><article><h1>Returns &amp; refunds</h1><p>Send <b>unopened</b> items back within <em>30
days</em>.</p>
<h2>Fees</h2><table><caption>Per parcel</caption><thead><tr><th>Country</th><th>Fee</th><th>Days</th></tr></thead>
<tr><td rowspan="2">Germany</td><td>4,90 €</td><td>3</td></tr><tr><td>6 €</td><td>1 | express</td></tr></table>
<h2>Steps</h2><ol><li><b>Print</b>, <i>cut</i>: the label<ul><li>from your account<li>from the mail</ul></li>
<li><p>Pack it.</p></li></ol>
<details><summary>Can I return a gift?</summary><p>Yes: <a href="mailto:care@lumen.example">write to us</a>, see
<a href="/gifts">here</a> or <a href="https://lumen.example/gifts">there</a>.</p></details>
<dl><dt>Perfume<dd>Sealed only</dl><pre>code   as it is
# no heading</pre></article></main><aside>Related</aside><footer>(c) Lumen</footer><script>alert(1)</script></body>"""


def test_a_help_page_keeps_its_headings_lists_and_tables_and_loses_what_is_around_them(sandbox: Sandbox) -> None:
    document, notes = read(sandbox, "returns.html", HELP_PAGE)
    assert document.title == "Returns & refunds"
    assert notes == {}
    assert document.text == (
        "# Returns & refunds\n\nSend unopened items back within 30 days.\n\n"
        "## Fees\n\nPer parcel\n\n"
        "| Country | Fee | Days |\n|---|---|---|\n| Germany | 4,90 € | 3 |\n| Germany | 6 € | 1 \\| express |\n\n"
        "## Steps\n\n1. Print, cut: the label\n   - from your account\n   - from the mail\n2. Pack it.\n\n"
        "### Can I return a gift?\n\n"
        "Yes: [write to us](mailto:care@lumen.example), see here or [there](https://lumen.example/gifts).\n\n"
        "- Perfume: Sealed only\n\n```\ncode   as it is\n# no heading\n```"
    )


def test_a_page_without_a_heading_gets_its_title_as_one(sandbox: Sandbox) -> None:
    document, _ = read(sandbox, "a.html", "<title>Sizes - Lumen</title><body><p>We have S and M.")
    assert document.text == "# Sizes\n\nWe have S and M."


def test_a_layout_table_and_a_deep_page_are_read_as_text(sandbox: Sandbox) -> None:
    page = "<body>" + "<div>" * 150 + "<table><tr><td><h1>Hours</h1><p>9 to 5</p></td></tr></table>"
    assert read(sandbox, "a.html", page)[0].text == "# Hours\n\n9 to 5"


def test_a_pdf_has_headings_by_size_lists_by_marks_and_a_page_for_each_chunk(sandbox: Sandbox) -> None:
    first = (
        made.line("Care guide", 750, size=24)
        + made.line("Wash the linen at thirty degrees and hang it up to dry in the", 700)
        + made.line("shade, as the sun would bleach it.", 686)
        + made.line("• no bleach", 650)
        + made.line("• no tumbler", 636)
    )
    second = made.line("Ironing", 750, size=18) + made.line("Iron it while it is damp.", 700)
    document, notes = read(sandbox, "care.pdf", made.pdf([first, second]))
    assert notes == {}
    assert document.text == (
        "# Care guide\n\n"
        "Wash the linen at thirty degrees and hang it up to dry in the shade, as the sun would bleach it.\n\n"
        "- no bleach\n- no tumbler\n\n## Ironing\n\nIron it while it is damp."
    )
    assert [(chunk.heading, chunk.page) for chunk in split(document)] == [
        ("Care guide", 1),
        ("Care guide > Ironing", 2),
    ]


def test_running_heads_and_page_numbers_are_left_out_of_a_pdf(sandbox: Sandbox) -> None:
    pages = [
        made.line("Lumen handbook", 780) + made.line(f"Chapter text {word}.", 400) + made.line(f"Page {number}", 20)
        for number, word in enumerate(["one", "two", "three", "four"], 1)
    ]
    document, _ = read(sandbox, "book.pdf", made.pdf(pages))
    assert document.text.count("Lumen handbook") == 1
    assert "Page" not in document.text
    assert "Chapter text four." in document.text


def test_a_docx_keeps_headings_lists_tables_and_what_was_inserted(sandbox: Sandbox) -> None:
    made_docx = docx.Document()
    made_docx.add_heading("Care guide", 0)
    made_docx.add_heading("Washing", 1)
    made_docx.add_paragraph("Wash at 30 degrees.")
    for style, words in (("List Bullet", ("wool", "silk")), ("List Number", ("soak", "rinse"))):
        for word in words:
            made_docx.add_paragraph(word, style=style)
    table = made_docx.add_table(rows=2, cols=2)
    for at, word in enumerate(("Size", "Price", "S", "$10")):
        table.cell(at // 2, at % 2).text = word
    file = io.BytesIO()
    made_docx.save(file)
    document, _ = read(sandbox, "care.docx", file.getvalue())
    assert document.title == "Care guide"
    assert document.text == (
        "# Care guide\n\n## Washing\n\nWash at 30 degrees.\n\n- wool\n- silk\n1. soak\n2. rinse\n\n"
        "| Size | Price |\n|---|---|\n| S | $10 |"
    )
    edited = made.word_xml(
        "<w:p><w:r><w:t>We ship </w:t></w:r><w:ins><w:r><w:t>worldwide</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>nowhere</w:delText></w:r></w:del></w:p>"
    )
    document, notes = read(sandbox, "edited.docx", made.docx(edited))
    assert document.text == "We ship worldwide"
    assert notes == {"deleted runs of a DOCX": 1}


def test_an_xlsx_shows_prices_dates_and_questions_as_the_sheet_does(sandbox: Sandbox) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Prices"
    sheet.append(["Size", "Price", "Tax", "From"])
    sheet.append(["S", 10.5, 0.19, dt.datetime(2026, 5, 1)])
    sheet["B2"].number_format = '"$"#,##0.00'
    sheet["C2"].number_format = "0%"
    sheet.append(["M", 12, None, None])
    faq = book.create_sheet("FAQ")
    faq.append(["Question", "Answer"])
    faq.append(["Do you ship?", "# Yes"])
    secret = book.create_sheet("Costs")
    secret.append(["what we pay"])
    secret.sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    document, notes = read(sandbox, "prices.xlsx", file.getvalue())
    assert document.text == (
        "## Prices\n\n| Size | Price | Tax | From |\n|---|---|---|---|\n"
        "| S | $10.50 | 19% | 2026-05-01 |\n| M | 12 |  |  |\n\n## FAQ\n\n### Do you ship?\n\n\\# Yes"
    )
    assert notes == {"hidden sheets of an XLSX": 1}


def test_a_pptx_has_its_slides_as_pages_without_notes_and_hidden_slides(sandbox: Sandbox) -> None:
    show = pptx.Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Warranty"
    first.placeholders[1].text = "Two years\nOn all lamps"
    first.notes_slide.notes_text_frame.text = "never tell them"
    hidden = show.slides.add_slide(show.slide_layouts[1])
    hidden.shapes.title.text = "Margins"
    hidden.element.set("show", "0")
    last = show.slides.add_slide(show.slide_layouts[5])
    last.shapes.title.text = "Lamps"
    grid = last.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for at, word in enumerate(("Lamp", "Watt", "Oslo", "9")):
        grid.cell(at // 2, at % 2).text = word
    file = io.BytesIO()
    show.save(file)
    document, notes = read(sandbox, "warranty.pptx", file.getvalue())
    assert document.text == (
        "## Warranty\n\n- Two years\n- On all lamps\n\n\n\n## Lamps\n\n| Lamp | Watt |\n|---|---|\n| Oslo | 9 |"
    )
    assert [chunk.page for chunk in split(document)] == [1, 3]
    assert notes == {"speaker notes of a PPTX": 1, "hidden slides of a PPTX": 1}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("faq.csv", 'question,answer\nDo you ship?,Yes.\n,\nTo Mars?,"No, not yet."\n'),
        ("faq.csv", "Title;Text\r\nDo you ship?;Yes.\r\nTo Mars?;No, not yet.\r\n"),
        ("faq.tsv", "id\tQuestion\tAnswer\n1\tDo you ship?\tYes.\n2\tTo Mars?\tNo, not yet.\n"),
        (
            "faq.json",
            json.dumps(
                [{"question": "Do you ship?", "answer": "Yes."}, {"question": "To Mars?", "answer": "No, not yet."}]
            ),
        ),
        (
            "faq.json",
            json.dumps(
                {"faq": [{"title": "Do you ship?", "text": "Yes."}, {"title": "To Mars?", "text": "No, not yet."}]}
            ),
        ),
        ("faq.jsonl", '{"Question":"Do you ship?","Answer":"Yes."}\n{"Question":"To Mars?","Answer":"No, not yet."}\n'),
    ],
)
def test_questions_with_answers_become_sections(sandbox: Sandbox, name: str, data: str) -> None:
    document, _ = read(sandbox, name, data)
    assert document.title == "Faq"
    assert [(chunk.heading, chunk.text) for chunk in split(document)] == [
        ("Do you ship?", "Yes."),
        ("To Mars?", "No, not yet."),
    ]


def test_a_csv_of_something_else_is_a_table_and_other_json_is_refused(sandbox: Sandbox) -> None:
    assert read(sandbox, "sizes.csv", "size,price\nS,10\n")[0].text == "| size | price |\n|---|---|\n| S | 10 |"
    for other in ('{"a": 1}', "[1, 2]", '[{"question": "only"}]'):
        with pytest.raises(Refused, match="question and answer"):
            read(sandbox, "a.json", other)


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.txt", "caf\xe9".encode("utf-16"), "café"),
        ("a.md", b"\xff\xfe\x00\x00" + "caf\xe9".encode("utf-32-le"), "café"),
        ("a.csv", "size,price\nS,10 \u20ac".encode("utf-16"), "| size | price |\n|---|---|\n| S | 10 € |"),
        ("a.html", b"<meta charset=windows-1252><p>10 \x80 caf\xe9", "10 € café"),
        ("a.html", b"<meta charset='iso-8859-1'><p>10 \x80", "10 €"),
        ("a.html", "<meta charset=utf-16><p>caf\xe9".encode(), "café"),
        ("a.html", "<meta charset=shift_jis><p>\u65e5\u672c".encode("shift_jis"), "日本"),
        ("a.txt", "עברית: המחיר הוא 10 ₪", "עברית: המחיר הוא 10 ₪"),
        (
            "a.html",
            "<p dir=rtl>\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645</p>",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("a.csv", "尺码,价格\n小,¥10", "| 尺码 | 价格 |\n|---|---|\n| 小 | ¥10 |"),
    ],
)
def test_encodings_that_are_named_and_all_scripts_are_read(
    sandbox: Sandbox, name: str, data: bytes | str, text: str
) -> None:
    document, notes = read(sandbox, name, data)
    assert document.text == text
    assert notes == {}


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.txt", b"caf\xe9", "not UTF-8 (byte 3)"),
        ("a.csv", b"caf\xe9,10", "not UTF-8 (byte 3)"),
        ("a.html", b"<p>caf\xe9", "not UTF-8"),
        ("a.html", b"<meta charset=utf-7><p>+ADw-", "UTF-7"),
        ("a.html", b"<meta charset=zip><p>x", "not known"),
        ("a.html", b"<meta charset=klingon><p>x", "not known"),
        ("a.txt", b"\xff\xfea", "utf-16"),
    ],
)
def test_other_encodings_are_refused_and_never_guessed(sandbox: Sandbox, name: str, data: bytes, why: str) -> None:
    with pytest.raises(Refused) as refusal:
        read(sandbox, name, data)
    assert why in str(refusal.value)


def test_the_first_bytes_decide_over_the_name(sandbox: Sandbox) -> None:
    page = made.pdf([made.line("Two years of warranty.", 700)])
    document, notes = read_document("warranty.html", page, ".html", sandbox)
    assert document.text == "Two years of warranty."
    assert document.pages == (0,)
    assert notes == (Note("warranty.html", "read as PDF, which it is whatever its name says", 1),)
    assert read(sandbox, "page.txt", HELP_PAGE)[0].title == "Returns & refunds"
    assert read(sandbox, "error.pdf", HELP_PAGE)[0].title == "Returns & refunds"
    assert read(sandbox, "a.xlsx", made.docx(made.word_xml("<w:p><w:r><w:t>Hi</w:t></w:r></w:p>")))[0].text == "Hi"
