"""CSV and XLSX for spreadsheet programs: a text cell is never evaluated as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from app.core.clock import today

Cell = str | int | float | bool | None

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BOM = "\ufeff"  # without it Excel reads CSV as Windows-1252
FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
# Start of a cell, also for a program that splits at another separator than the file was written with.
CELL_START = r"(?:^(?='*[=+\-@\t\r\n＝＋－＠])|(?<=[;,\t\r\n])(?='*[=+\-@＝＋－＠]))"
UNGUARDED, GUARDED = re.compile(CELL_START), re.compile(CELL_START + "'(?='*[=+\\-@\\t\\r\\n＝＋－＠])")


def attachment_headers(name: str, extension: str) -> dict[str, str]:
    """Response headers for a download named with today's date."""
    return {"Content-Disposition": f'attachment; filename="{name}-{today()}.{extension}"'}


class Separator(StrEnum):
    """Of CSV: `comma`; `semicolon`: as an Indonesian Excel reads and writes it, with decimal commas."""

    COMMA = "comma"
    SEMICOLON = "semicolon"


def guard_formulas(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would evaluate as a formula."""
    return UNGUARDED.sub("'", text)


def unguard_formulas(text: str) -> str:
    """Undo `guard_formulas`."""
    return GUARDED.sub("", text)


def csv_text(rows: Iterable[Sequence[Cell]], separator: Separator = Separator.COMMA) -> str:
    """Numbers keep their signs; only texts are guard_formulas against formulas."""
    buffer = io.StringIO()
    delimiter, point = (";", ",") if separator is Separator.SEMICOLON else (",", ".")
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerows([_plain(value, point) for value in row] for row in rows)
    return buffer.getvalue()


def _plain(value: Cell, point: str) -> str:
    if isinstance(value, str):
        return guard_formulas(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{Decimal(repr(value)).normalize():f}".replace(".", point)
    return "" if value is None else str(value)


def xlsx_row(sheet: Any, row: Iterable[Cell]) -> list[Any]:
    return [_xlsx_cell(sheet, value) if isinstance(value, str) else value for value in row]


def _xlsx_cell(sheet: Any, text: str) -> Any:
    """Mark a text cell as quoted, so that it stays a text after somebody has edited it in Excel."""
    text = ILLEGAL_CHARACTERS_RE.sub("", text)
    if not text.startswith("#") and not FORMULA.match(text):
        return text
    cell = WriteOnlyCell(sheet, text)
    cell.data_type, cell.quotePrefix = "s", True
    return cell
