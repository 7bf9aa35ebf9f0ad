"""Tables for spreadsheet programs: what a cell holds is shown there, never run."""

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
# Where a cell begins, also for who splits the file at another separator than it was written with.
BEGINS = r"(?:^(?='*[=+\-@\t\r\n＝＋－＠])|(?<=[;,\t\r\n])(?='*[=+\-@＝＋－＠]))"
UNGUARDED, GUARDED = re.compile(BEGINS), re.compile(BEGINS + "'(?='*[=+\\-@\\t\\r\\n＝＋－＠])")


def attached(name: str, extension: str) -> dict[str, str]:
    """The headers of an answer that is saved as a file of today's."""
    return {"Content-Disposition": f'attachment; filename="{name}-{today()}.{extension}"'}


class Separator(StrEnum):
    COMMA = "comma"
    SEMICOLON = "semicolon"  # what an Indonesian Excel reads and writes, with decimal commas


def guarded(text: str) -> str:
    """Behind an apostrophe, what a spreadsheet would run as a formula."""
    return UNGUARDED.sub("'", text)


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return GUARDED.sub("", text)


def csv_text(rows: Iterable[Sequence[Cell]], separator: Separator = Separator.COMMA) -> str:
    """Numbers are numbers, signs included; only text is guarded."""
    written = io.StringIO()
    delimiter, point = (";", ",") if separator is Separator.SEMICOLON else (",", ".")
    writer = csv.writer(written, delimiter=delimiter)
    writer.writerows([_plain(value, point) for value in row] for row in rows)
    return written.getvalue()


def _plain(value: Cell, point: str) -> str:
    if isinstance(value, str):
        return guarded(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{Decimal(repr(value)).normalize():f}".replace(".", point)
    return "" if value is None else str(value)


def xlsx_row(sheet: Any, row: Iterable[Cell]) -> list[Any]:
    return [_xlsx_cell(sheet, value) if isinstance(value, str) else value for value in row]


def _xlsx_cell(sheet: Any, text: str) -> Any:
    """A text stays one whatever it begins with, also after somebody has edited it in Excel."""
    text = ILLEGAL_CHARACTERS_RE.sub("", text)
    if not text.startswith("#") and not FORMULA.match(text):
        return text
    cell = WriteOnlyCell(sheet, text)
    cell.data_type, cell.quotePrefix = "s", True
    return cell
