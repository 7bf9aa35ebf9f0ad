"""The file given back as a workbook, with two columns more: what became of each row, and what to do about it."""

import io
import zipfile
from typing import Any

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, MergedCell
from openpyxl.styles import Alignment, Font

from app.importing import answer, grids, headers, workbook
from app.importing.cells import LAST_COLUMN
from app.importing.headers import COLUMNS
from app.importing.sheets import TARGETS, Row, Sheet
from app.importing.store import Outcome, Verdict
from app.importing.words import fold

HEADERS = {"id": ("Hasil", "Saran"), "en": ("Result", "Suggestion")}
OURS = {fold(first) for first, _ in HEADERS.values()}
VERDICTS = {
    "id": {Verdict.CREATE: "baru", Verdict.UPDATE: "diperbarui", Verdict.SAME: "tetap", Verdict.ERROR: "salah"},
    "en": {verdict: verdict.value for verdict in Verdict},
}
FIELDS = {target: word for word, target in TARGETS.items() if word != "village"}


def write(data: bytes, outcome: Outcome, *, spoken: str) -> bytes:
    book, page = _book(data, outcome.sheet)
    at = _free_column(page, outcome)
    said = {row.number: (VERDICTS[spoken][verdict], _advice(row, spoken)) for row, verdict in outcome.verdicts}
    for number, texts in {outcome.sheet.header.number: HEADERS[spoken], **said}.items():
        for place, text in enumerate(texts):
            _put(page, number, at + place, text)
    for place, width in ((0, 12), (1, 80)):
        page.column_dimensions[openpyxl.utils.get_column_letter(at + place)].width = width
        page.cell(outcome.sheet.header.number, at + place).font = Font(bold=True)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _book(data: bytes, sheet: Sheet) -> tuple[Any, Any]:
    """The workbook that was sent; of a CSV file, a new one. Raises Invalid for one too large to be held whole."""
    if data.startswith(workbook.SIGNATURE):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            workbook.require_small(archive)
        book = openpyxl.load_workbook(io.BytesIO(data))
        return book, book[sheet.name or ""]
    book = openpyxl.Workbook()
    page: Any = book.active
    for grid in grids.read(data):
        lines = list(grid.lines)
        if headers.find(iter(lines)) is None:
            continue
        for number, cells in lines:
            for column, cell in enumerate(cells, 1):
                _put(page, number, column, str(cell))
        break
    return book, page


def _put(page: Any, row: int, column: int, text: str) -> None:
    """As text, whatever it looks like: Excel computes nothing that somebody wrote into a cell."""
    cell = page.cell(row, column)
    if text and not isinstance(cell, MergedCell):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", text)
        cell.data_type = "s"
        cell.alignment = Alignment(vertical="top", wrap_text=False)


def _free_column(page: Any, outcome: Outcome) -> int:
    """After the last that holds anything; where a report stood before, in its place."""
    header, every = outcome.sheet.header.number, range(1, min(LAST_COLUMN, page.max_column) + 1)
    before = [column for column in every if fold(str(page.cell(header, column).value or "")) in OURS]
    if before:
        return before[0]
    rows = [header, *(row.number for row, _ in outcome.verdicts)]
    return max(column for column in every for row in rows if page.cell(row, column).value is not None) + 1


def _advice(row: Row, spoken: str) -> str:
    return "\n".join(
        f"{column(fault.field, spoken)}: {answer.line(fault, spoken=spoken)}" for fault in (*row.faults, *row.warnings)
    )


def column(field: str, spoken: str) -> str:
    found = COLUMNS.get(FIELDS.get(field, field))
    return field if found is None or spoken == "en" else found.indonesian
