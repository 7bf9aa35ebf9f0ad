"""CSV for spreadsheet programs: a text cell is never evaluated as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from app.core.clock import today

Cell = str | int | float | bool | Decimal | date | None  # a datetime is a date, too

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
    """Numbers keep their signs; only texts are guarded against formulas. Moments come with their offset."""
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
    if isinstance(value, float | Decimal):
        return f"{Decimal(str(value)).normalize():f}".replace(".", point)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return "" if value is None else str(value)
