"""The file given back as a workbook, with two columns more: what became of each row, and what to do about it."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, MergedCell
from openpyxl.styles import Alignment, Font

from app.errors import Invalid
from app.importing import answer, grids, headers, workbook
from app.importing.cells import LAST_COLUMN
from app.importing.headers import COLUMNS, SEARCHED
from app.importing.sheets import SOURCES, Row, Sheet
from app.importing.store import Outcome, Verdict
from app.importing.words import SHORT, fold
from app.registry.words import WARNINGS

HEADERS = {"id": ("Hasil", "Saran"), "en": ("Result", "Suggestion")}
OURS = {fold(first) for first, _ in HEADERS.values()}
VERDICTS = {
    "id": {Verdict.CREATE: "baru", Verdict.UPDATE: "diperbarui", Verdict.SAME: "tetap", Verdict.ERROR: "salah"},
    "en": {verdict: verdict.value for verdict in Verdict},
}
COLUMN, ROW = {"id": "kolom", "en": "column"}, {"id": "baris", "en": "row"}


def write(data: bytes, outcome: Outcome, *, spoken: str) -> bytes:
    book = _book(data)
    verdicts = dict(outcome.verdicts)
    for sheet in outcome.book.sheets:
        page = book.active if sheet.name is None else book[sheet.name]
        said = {row.number: (VERDICTS[spoken][verdicts[row]], _advice(row, spoken)) for row in sheet.rows}
        _judged(page, sheet, said, spoken=spoken)
    _warn(book, [answer.line(fault, spoken=spoken) for fault in outcome.book.warnings], spoken=spoken)
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


def _judged(page: Any, sheet: Sheet, said: dict[int, tuple[str, str]], *, spoken: str) -> None:
    at = _free_column(page, sheet)
    for number, texts in {sheet.header.number: HEADERS[spoken], **said}.items():
        for place, text in enumerate(texts):
            _put(page, number, at + place, text)
    for place, width in ((0, 12), (1, 80)):
        page.column_dimensions[openpyxl.utils.get_column_letter(at + place)].width = width
        page.cell(sheet.header.number, at + place).font = Font(bold=True)


def _book(data: bytes) -> Any:
    """The workbook that was sent; of a CSV file, a new one. Raises Invalid for one too large to be held whole."""
    if data.startswith(workbook.SIGNATURE):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            workbook.require_small(archive)
        return openpyxl.load_workbook(io.BytesIO(data))
    book = openpyxl.Workbook()
    page: Any = book.active
    for grid in grids.read(data):
        lines = list(grid.lines)
        if _is_other(lines[:SEARCHED]):
            continue
        for number, cells in lines:
            for column, cell in enumerate(cells, 1):
                _put(page, number, column, str(cell))
        break
    return book


def _is_other(top: list[grids.Line]) -> bool:
    """Whether it is another delimiter that makes a table of the file."""
    try:
        return headers.find(top) is None
    except Invalid:
        return True


def _put(page: Any, row: int, column: int, text: str) -> None:
    """As text, whatever it looks like: Excel computes nothing that somebody wrote into a cell."""
    cell = page.cell(row, column)
    if text and not isinstance(cell, MergedCell):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", text)
        cell.data_type = "s"
        cell.alignment = Alignment(vertical="top", wrap_text=False)


def _free_column(page: Any, sheet: Sheet) -> int:
    """After the last that holds anything; where a report stood before, in its place."""
    header, every = sheet.header.number, range(1, min(LAST_COLUMN, page.max_column) + 1)
    before = [column for column in every if fold(str(page.cell(header, column).value or "")) in OURS]
    if before:
        return before[0]
    rows = [header, *(row.number for row in sheet.rows)]
    return max(column for column in every for row in rows if page.cell(row, column).value is not None) + 1


def _advice(row: Row, spoken: str) -> str:
    return "\n".join(
        f"{place(row, fault.field, spoken)}: {answer.line(fault, spoken=spoken)}"
        for fault in (*row.faults, *row.warnings)
    )


def place(row: Row, field: str, spoken: str) -> str:
    """Where it stands: kolom I (IP/Host). A field that the file has no column for is named."""
    if (name := row.column(field)) is not None:
        header = " ".join(row.header.texts[name].split())
        return f"{COLUMN[spoken]} {row.header.letter(name)} ({header[:SHORT]})"
    return ROW[spoken] if field == "row" else label(field, spoken)


def label(field: str, spoken: str) -> str:
    """What a field is called."""
    found = COLUMNS.get(SOURCES.get(field, (field,))[0])
    return field if found is None or spoken == "en" else found.indonesian
