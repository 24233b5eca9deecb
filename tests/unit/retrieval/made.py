"""Documents that the tests make: small, and bad in just one way."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping


def pdf(pages: Iterable[str], *, kids: str | None = None, count: int | None = None) -> bytes:
    """A PDF of content streams, with Helvetica as `/F` and a filled picture as `/Im`.

    Args:
        pages: The content stream of each page.
        kids: Stands as `/Kids` in the place of the pages.
        count: Stands as `/Count` in the place of their number.
    """
    streams = list(pages)
    numbers = range(4, 4 + 2 * len(streams), 2)
    listed = " ".join(f"{number} 0 R" for number in numbers)
    kids = listed if kids is None else kids
    count = len(streams) if count is None else count
    objects = {
        1: "<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    }
    for number, stream in zip(numbers, streams, strict=True):
        objects[number] = (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] "
            f"/Resources << /Font << /F 3 0 R >> >> /Contents {number + 1} 0 R >>"
        )
        objects[number + 1] = f"<< /Length {len(stream.encode('cp1252'))} >>\nstream\n{stream}\nendstream"
    out = bytearray(b"%PDF-1.4\n")
    places: dict[int, int] = {}
    for number, body in objects.items():
        places[number] = len(out)
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    for number in sorted(objects):
        out += f"{places[number]:010} 00000 n \n".encode()
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)


def line(text: str, y: int, *, size: int = 12, before: str = "") -> str:
    """Operators that set one line of text at a height."""
    return f"q {before} BT /F {size} Tf 50 {y} Td ({text}) Tj ET Q\n"


def docx(body: str, extra: Mapping[str, bytes] | None = None) -> bytes:
    """A DOCX around the XML of a body; `extra` are further parts."""
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts: dict[str, bytes] = {
        "[Content_Types].xml": (
            '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>'
        ).encode(),
        "_rels/.rels": (
            '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="r1" Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>'
        ).encode(),
        "word/document.xml": body.encode(),
    }
    return packed(parts | dict(extra or {}))


def word_xml(paragraphs: str, doctype: str = "") -> str:
    """The main part of a DOCX."""
    return (
        f'<?xml version="1.0"?>{doctype}'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{paragraphs}</w:body></w:document>"
    )


def packed(parts: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()
