"""XLSX: each visible sheet is a section with a table; formulas give the values that were saved with them."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retrieval.documents.readers.extract import TOO_LONG, Extract, Limits, Refused
from retrieval.documents.readers.faq import from_table
from retrieval.documents.readers.markdown import blocks, heading, inline

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

HIDDEN = "hidden sheets of an XLSX"
MAX_COLUMNS = 200
EMPTY_ROWS = 1000
"""So many empty rows end a sheet: some files claim a million."""
_CURRENCY = re.compile(r"[$\u20ac\u00a3\u00a5\u20b9]|\b(?:EUR|USD|GBP|CHF|JPY)\b")
_DECIMALS = re.compile(r"0\.(0+)")


def read_xlsx(data: bytes, limits: Limits) -> Extract:
    """Read an XLSX file whose archive was checked."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    hidden: Counter[str] = Counter()
    found: list[str] = []
    left = limits.chars
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            hidden[HIDDEN] += 1
            continue
        rows = []
        for row in _rows(sheet):
            left -= sum(map(len, row))
            if left < 0:
                raise Refused(TOO_LONG)
            rows.append(row)
        if rows:
            found.append(blocks([heading(2, sheet.title), from_table(rows, level=3)]))
    return Extract((blocks(found),), title=inline(book.properties.title or ""), hidden=hidden)


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[list[str]]:
    # The size that a sheet states may be wrong in both directions.
    sheet.reset_dimensions()
    empty = 0
    for cells in sheet.iter_rows(max_col=MAX_COLUMNS):
        row = [_shown(cell) for cell in cells]
        if any(row):
            empty = 0
            yield row
        else:
            empty += 1
            if empty > EMPTY_ROWS:
                return


def _shown(cell: Any) -> str:
    """A value about as the sheet shows it: a price without its currency would be another claim."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "General")
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return inline(str(value))


def _number(value: float, form: str) -> str:
    decimals = _DECIMALS.search(form)
    if "%" in form:
        return f"{value * 100:.{len(decimals[1]) if decimals else 0}f}%"
    if decimals:
        text = f"{value:.{len(decimals[1])}f}"
    else:
        text = str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.10g}"
    currency = _CURRENCY.search(form)
    if currency is None:
        return text
    before = form.find(currency[0]) < form.find("0")
    return f"{currency[0]}{text}" if before else f"{text} {currency[0]}"
