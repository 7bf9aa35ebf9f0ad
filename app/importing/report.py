"""The file given back as a workbook, with two columns more: what became of each row, and what to do about it."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, MergedCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from app.core.errors import Invalid
from app.importing import headers, report_lines, response
from app.importing.cells import LAST_COLUMN
from app.importing.headers import SEARCHED, Header
from app.importing.readers import tables, xlsx_reader
from app.importing.sheets import Row, Sheet
from app.importing.store import Outcome, Verdict
from app.registry.vocabulary import WARNINGS, fold

HEADERS = {"id": ("Hasil", "Saran"), "en": ("Result", "Suggestion")}
OURS = {fold(first) for first, _ in HEADERS.values()}
VERDICTS = {
    "id": {Verdict.CREATE: "baru", Verdict.UPDATE: "diperbarui", Verdict.SAME: "tetap", Verdict.ERROR: "salah"},
    "en": {verdict: verdict.value for verdict in Verdict},
}
COLOURS = {
    verdict: PatternFill("solid", fgColor=colour)
    for verdict, colour in zip(Verdict, ("E2EFDA", "FFF2CC", "FFFFFF", "F8CBAD"), strict=True)
}


def write(data: bytes, outcome: Outcome, *, spoken: str) -> bytes:
    book = _book(data)
    verdicts = dict(outcome.verdicts)
    for sheet in filter(lambda sheet: sheet.rows, outcome.book.sheets):
        page = book.active if sheet.name is None else book[sheet.name]
        _judge(page, sheet, verdicts, spoken=spoken)
    _warn(book, [response.line(fault, spoken=spoken) for fault in outcome.book.warnings], spoken=spoken)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _warn(book: Any, warnings: Sequence[str], *, spoken: str) -> None:
    """On a sheet of their own, what is said of no row; in the place of one that stood there before."""
    for name in WARNINGS.values():
        if name in book.sheetnames:
            del book[name]
    if warnings:
        page = book.create_sheet(WARNINGS[spoken])
        page.column_dimensions["A"].width = 120
        for number, warning in enumerate(warnings, 1):
            _put(page, number, 1, warning)


def _judge(page: Any, sheet: Sheet, verdicts: Mapping[Row, Verdict], *, spoken: str) -> None:
    at, top = _free_column(page, sheet), sheet.header.number
    for place, (text, width) in enumerate(zip(HEADERS[spoken], (12, 80), strict=True)):
        _put(page, top, at + place, text)
        page.cell(top, at + place).font = Font(bold=True)
        page.column_dimensions[get_column_letter(at + place)].width = width
    for row in sheet.rows:
        verdict = verdicts[row]
        _put(page, row.number, at, VERDICTS[spoken][verdict])
        page.cell(row.number, at).fill = COLOURS[verdict]
        _put(page, row.number, at + 1, _advice(row, verdict, spoken), wrap=True)
        _mark(page, row, sheet.header)
    page.freeze_panes = page.freeze_panes or f"A{top + 1}"
    if not page.tables:  # which have filters of their own
        page.auto_filter.ref = f"A{top}:{get_column_letter(at + 1)}{sheet.rows[-1].number}"


def _mark(page: Any, row: Row, header: Header) -> None:
    """The wrong cells; those that a report marked before are right now."""
    wrong = {row.column(fault.field) for fault in row.faults}
    for column, name in header.fields.items():
        cell = page.cell(row.number, column + 1)
        if name in wrong:
            cell.fill = COLOURS[Verdict.ERROR]
        elif cell.fill == COLOURS[Verdict.ERROR]:
            cell.fill = PatternFill()


def _book(data: bytes) -> Any:
    """The workbook that was sent; of a CSV file, a new one. Raises Invalid for one too large to be held whole."""
    if data.startswith(xlsx_reader.SIGNATURE):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            xlsx_reader.require_small(archive)
        book = openpyxl.load_workbook(io.BytesIO(data))
        _keep_results(book, data)
        return book
    book = openpyxl.Workbook()
    page: Any = book.active
    for grid in tables.read(data):
        lines = list(grid.lines)
        if _is_other(lines[:SEARCHED]):
            continue
        for number, cells in lines:
            for column, cell in enumerate(cells, 1):
                _put(page, number, column, str(cell))
        break
    return book


def _keep_results(book: Any, data: bytes) -> None:
    """In the place of formulas: openpyxl writes these without what they came to, and nobody could read the file."""
    formulas = [cell for page in book for line in page.iter_rows() for cell in line if cell.data_type == "f"]
    values = openpyxl.load_workbook(io.BytesIO(data), data_only=True) if formulas else None
    for cell in formulas:
        assert values is not None
        if (value := values[cell.parent.title][cell.coordinate].value) is not None:
            cell.value = value
            if cell.data_type == "f":
                cell.data_type = "s"


def _is_other(top: list[tables.Line]) -> bool:
    """Whether it is another delimiter that makes a table of the file."""
    try:
        return headers.find(top) is None
    except Invalid:
        return True


def _put(page: Any, row: int, column: int, text: str, *, wrap: bool = False) -> None:
    """As text, whatever it looks like: Excel computes nothing that somebody wrote into a cell."""
    cell = page.cell(row, column)
    if isinstance(cell, MergedCell):
        return
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", text) or None
    cell.alignment = Alignment(vertical="top", wrap_text=wrap)
    if cell.value is not None:
        cell.data_type = "s"


def _free_column(page: Any, sheet: Sheet) -> int:
    """After the last that holds anything; where a report stood before, in its place."""
    header, every = sheet.header.number, range(1, min(LAST_COLUMN, page.max_column) + 1)
    before = [column for column in every if fold(str(page.cell(header, column).value or "")) in OURS]
    if before:
        return before[0]
    rows = [header, *(row.number for row in sheet.rows)]
    return max(column for column in every for row in rows if page.cell(row, column).value is not None) + 1


def _advice(row: Row, verdict: Verdict, spoken: str) -> str:
    return "\n".join(f"{where}: {what}" for where, what in report_lines.of_row(row, verdict, spoken=spoken))
