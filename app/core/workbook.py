"""A table as XLSX: title lines, a frozen bold header, number formats, and a sheet that explains the columns.

Rows may be appended in chunks; openpyxl keeps them on disk until the workbook is saved.
"""

import io
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO, cast

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from app.core.clock import utc_now
from app.core.tables import TEXT, Column, Kind, Language, Row, Table, Text
from app.core.tabular import FORMULA, Cell

DICTIONARY_SHEET = Text("Kamus data", "Data dictionary")
DICTIONARY_HEADER = (
    Text("Kolom", "Column"),
    Text("Nama di API", "Name in the API"),
    Text("Satuan", "Unit"),
    Text("Arti", "Meaning"),
    Text("Rujukan", "Reference"),
)
DICTIONARY_WIDTHS = (34, 30, 10, 100, 50)
BOLD, TITLE, HEADER_FILL = Font(bold=True), Font(bold=True, size=14), PatternFill("solid", fgColor="DDEBF7")
A4 = 9  # as a workbook calls it
MIN_WIDTH, MAX_WIDTH, MAX_LONG_WIDTH, SAMPLED_ROWS = 10, 40, 80, 200  # widths in characters


def xlsx(table: Table, language: Language) -> bytes:
    """Takes a second for some 50,000 cells: call it off the event loop."""
    further = [each.without_empty() for each in table.further]
    book, file = TableWorkbook(replace(table.without_empty(), further=further), language), io.BytesIO()
    book.save(file)
    return file.getvalue()


class TableWorkbook:
    """A workbook that holds the table's rows, and those appended."""

    def __init__(self, table: Table, language: Language) -> None:
        self._table, self._language = table, language
        self._workbook = Workbook(write_only=True)
        self._sheet: Any = self._workbook.create_sheet(table.sheet.to(language))
        heading = table.heading(language, utc_now())
        self._header_row = len(heading) + 2 if heading else 1
        self._set_up_page()
        for number, line in enumerate(heading):
            self._sheet.append([_styled(self._sheet, line, font=TITLE if number == 0 else Font())])
        if heading:
            self._sheet.append([])
        self._sheet.append(_header(self._sheet, table.header(language)))
        self._last_row = self._header_row
        self._styles = [_style(self._sheet, column.kind) for column in table.columns]
        self.append(table.rows)

    def _set_up_page(self) -> None:
        """Freeze header and first columns, fit the columns, and print them side by side on landscape pages."""
        sheet, columns, language = self._sheet, self._table.columns, self._language
        sheet.freeze_panes = f"{'C' if len(columns) > 2 else 'A'}{self._header_row + 1}"
        sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", A4
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
        sheet.print_title_rows = f"{self._header_row}:{self._header_row}"
        _fit_columns(sheet, self._table, language)

    def append(self, rows: Iterable[Row]) -> None:
        for cells in self._table.cells(rows, self._language):
            self._sheet.append([_cell(self._sheet, *pair) for pair in zip(cells, self._styles, strict=True)])
            self._last_row += 1

    def save(self, file: BinaryIO) -> None:
        """Write the workbook. Call it once, also when it is not needed any more: it removes the temporary files."""
        last = get_column_letter(len(self._table.columns))
        self._sheet.auto_filter.ref = f"A{self._header_row}:{last}{self._last_row}"
        for further in self._table.further:
            _add_table(self._workbook, further, self._language)
        _add_dictionary(self._workbook, self._table.columns, self._language)
        self._workbook.save(file)


def _add_table(workbook: Workbook, table: Table, language: Language) -> None:
    """Add a sheet with the table's header and rows alone."""
    sheet: Any = workbook.create_sheet(table.sheet.to(language))
    sheet.freeze_panes = "A2"
    _fit_columns(sheet, table, language)
    sheet.append(_header(sheet, table.header(language)))
    styles = [_style(sheet, column.kind) for column in table.columns]
    for row in table.cells(table.rows, language):
        sheet.append([_cell(sheet, *pair) for pair in zip(row, styles, strict=True)])


def _fit_columns(sheet: Any, table: Table, language: Language) -> None:
    """Make each column as wide as its first rows and the longest word of its header need, within bounds."""
    sampled = list(table.cells(table.rows[:SAMPLED_ROWS], language))
    for number, column in enumerate(table.columns):
        needed = [len(_shown(row[number])) for row in sampled] + [len(word) for word in column.header(language).split()]
        most = MAX_LONG_WIDTH if column.kind.is_long else MAX_WIDTH
        width = max(MIN_WIDTH, min(most, max(needed) + 2))
        sheet.column_dimensions[get_column_letter(number + 1)].width = width


def _add_dictionary(workbook: Workbook, columns: Sequence[Column], language: Language) -> None:
    sheet: Any = workbook.create_sheet(DICTIONARY_SHEET.to(language))
    sheet.freeze_panes = "A2"
    for number, width in enumerate(DICTIONARY_WIDTHS, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.append(_header(sheet, [text.to(language) for text in DICTIONARY_HEADER]))
    for column in columns:
        texts = dictionary_entry(column, language)
        sheet.append([_text_cell(sheet, text) for text in texts])


def dictionary_entry(column: Column, language: Language) -> list[str]:
    """Return header, API name, unit, meaning and reference of a column."""
    unit = column.kind.unit
    meaning = Text(column.arti, column.meaning).to(language)
    return [column.header(language), column.name, unit.to(language) if unit else "", meaning, column.reference]


def _header(sheet: Any, names: Sequence[str]) -> list[Any]:
    wrapped = Alignment(wrap_text=True, vertical="center")
    return [_styled(sheet, name, font=BOLD, fill=HEADER_FILL, alignment=wrapped) for name in names]


def _styled(sheet: Any, text: str, **style: Any) -> Any:
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", text))
    cell.data_type = "s"  # whatever it looks like
    for name, value in style.items():
        setattr(cell, name, value)
    return cell


def _style(sheet: Any, kind: Kind) -> Any:
    """Return the style of all cells of a column: openpyxl would look it up again for each."""
    if kind == TEXT:
        return None
    cell: Any = WriteOnlyCell(sheet, 0)
    cell.number_format = kind.number_format
    if kind.is_long:
        cell.alignment = Alignment(wrap_text=True)
    return cell._style


def _cell(sheet: Any, value: Cell, style: Any) -> Any:
    if isinstance(value, str):
        return _text_cell(sheet, value, style)
    if isinstance(value, datetime):
        value = value.replace(tzinfo=None)  # in WITA, as the header says: a workbook has no zones
    if value is None or style is None:
        return value
    cell: Any = WriteOnlyCell(sheet, cast(Any, value))
    cell._style = style
    return cell


def _text_cell(sheet: Any, text: str, style: Any = None) -> Any:
    """Mark what looks like a formula as quoted, so that it stays a text after somebody has edited it in Excel."""
    text = ILLEGAL_CHARACTERS_RE.sub("", text)
    is_odd = text.startswith("#") or FORMULA.match(text) is not None
    if style is None and not is_odd:
        return text
    cell: Any = WriteOnlyCell(sheet, text)
    if style is not None:
        cell._style = copy(style)
    if is_odd:
        cell.data_type, cell.quotePrefix = "s", True
    return cell


def _shown(value: Cell) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
