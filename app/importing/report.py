"""The imported file as a workbook with two more columns: each row's verdict, and what to do about it."""

import io
from collections.abc import Sequence
from typing import Any

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, MergedCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from app.core.errors import Invalid
from app.importing import header_detection, tables, xlsx_reader
from app.importing.cells import LAST_COLUMN
from app.importing.header_detection import SEARCHED_ROWS
from app.importing.report_content import HEADERS, VERDICTS, ReportContent, ReportRow, ReportSheet
from app.importing.verdicts import RowVerdict
from app.importing.workbook_archive import broken
from app.registry.vocabulary import WARNINGS_SHEET, fold

RESULT_HEADERS = {fold(result) for result, _ in HEADERS.values()}
COLOURS = {
    verdict: PatternFill("solid", fgColor=colour)
    for verdict, colour in zip(RowVerdict, ("E2EFDA", "FFF2CC", "FFFFFF", "F8CBAD"), strict=True)
}


def require_loadable(data: bytes) -> None:
    """Raises Invalid for a file that cannot be reported on. Call it before such a file is written."""
    _load(data)


def write(data: bytes, content: ReportContent) -> bytes:
    """Return the XLSX with results, wrong cells marked, and an overview on a sheet of its own."""
    workbook = _load(data)
    for sheet in content.sheets:
        _write_results(workbook.active if sheet.name is None else workbook[sheet.name], sheet, content.language)
    _write_overview(workbook, content.overview, language=content.language)
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def _load(data: bytes) -> Any:
    """Load the uploaded workbook whole, or put a CSV file into a new one. Raises Invalid if too large or damaged."""
    if not data.startswith(xlsx_reader.SIGNATURE):
        return _from_csv(data)
    try:
        unpacked = xlsx_reader.unpack(data)
        xlsx_reader.require_small(unpacked)
        workbook = openpyxl.load_workbook(io.BytesIO(unpacked.data))
        _replace_formulas(workbook, unpacked.data)
    except (Invalid, MemoryError):
        raise
    except Exception:  # openpyxl parses more of the file here than it does to read rows
        raise broken() from None
    return workbook


def _from_csv(data: bytes) -> Any:
    workbook = openpyxl.Workbook()
    page: Any = workbook.active
    for table in tables.read(data):
        lines = list(table.rows)
        if _has_no_header(lines[:SEARCHED_ROWS]):
            continue
        for number, cells in lines:
            for column, cell in enumerate(cells, 1):
                _put_text(page, number, column, str(cell))
        break
    return workbook


def _write_overview(workbook: Any, lines: Sequence[str], *, language: str) -> None:
    """Replaces the sheet of an earlier report."""
    for name in WARNINGS_SHEET.values():
        if name in workbook.sheetnames:
            del workbook[name]
    if lines:
        page = workbook.create_sheet(WARNINGS_SHEET[language])
        page.column_dimensions["A"].width = 120
        for number, line in enumerate(lines, 1):
            _put_text(page, number, 1, line, wrap=True)


def _write_results(page: Any, sheet: ReportSheet, language: str) -> None:
    first, header_row = _result_column(page, sheet), sheet.header_row
    for offset, (text, width) in enumerate(zip(HEADERS[language], (12, 80), strict=True)):
        _put_text(page, header_row, first + offset, text)
        page.cell(header_row, first + offset).font = Font(bold=True)
        page.column_dimensions[get_column_letter(first + offset)].width = width
    for row in sheet.rows:
        _put_text(page, row.number, first, VERDICTS[language][row.verdict])
        page.cell(row.number, first).fill = COLOURS[row.verdict]
        _put_text(page, row.number, first + 1, row.text, wrap=True)
        _mark_wrong_cells(page, row, sheet.columns)
    page.freeze_panes = page.freeze_panes or f"A{header_row + 1}"
    if not page.tables:  # a table has a filter of its own
        page.auto_filter.ref = f"A{header_row}:{get_column_letter(first + 1)}{sheet.rows[-1].number}"


def _mark_wrong_cells(page: Any, row: ReportRow, columns: Sequence[int]) -> None:
    """Also clear the marks of an earlier report where cells are correct now."""
    for column in columns:
        cell = page.cell(row.number, column)
        if column in row.wrong:
            cell.fill = COLOURS[RowVerdict.ERROR]
        elif cell.fill == COLOURS[RowVerdict.ERROR]:
            cell.fill = PatternFill()


def _replace_formulas(workbook: Any, data: bytes) -> None:
    """Put stored results in place of formulas: openpyxl saves formulas without them, which no import can read."""
    formulas = [cell for page in workbook for line in page.iter_rows() for cell in line if cell.data_type == "f"]
    values = openpyxl.load_workbook(io.BytesIO(data), data_only=True) if formulas else None
    for cell in formulas:
        assert values is not None
        if (value := values[cell.parent.title][cell.coordinate].value) is not None:
            cell.value = value
            if cell.data_type == "f":
                cell.data_type = "s"


def _has_no_header(top: list[tables.NumberedRow]) -> bool:
    """Whether this is not the delimiter that makes a table of the file."""
    try:
        return header_detection.find(top) is None
    except Invalid:
        return True


def _put_text(page: Any, row: int, column: int, text: str, *, wrap: bool = False) -> None:
    """Store as text whatever it looks like, so that Excel does not evaluate it."""
    cell = page.cell(row, column)
    if isinstance(cell, MergedCell):
        return
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", text) or None
    cell.alignment = Alignment(vertical="top", wrap_text=wrap)
    if cell.value is not None:
        cell.data_type = "s"


def _result_column(page: Any, sheet: ReportSheet) -> int:
    """Return the result column of an earlier report, else the first column after all cells in use."""
    header_row, columns = sheet.header_row, range(1, min(LAST_COLUMN, page.max_column) + 1)
    earlier = [column for column in columns if fold(str(page.cell(header_row, column).value or "")) in RESULT_HEADERS]
    if earlier:
        return earlier[0]
    rows = [header_row, *(row.number for row in sheet.rows)]
    return max(column for column in columns for row in rows if page.cell(row, column).value is not None) + 1
