"""Files that the API answered with, read back as spreadsheet programs read them."""

import csv
import io
from dataclasses import dataclass
from typing import Any

import httpx
from openpyxl import load_workbook

from app.core.tabular import BOM, XLSX_TYPE


def read_csv(answer: httpx.Response, delimiter: str = ",") -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.startswith(BOM)
    text = io.StringIO(answer.text.removeprefix(BOM), newline="")
    return list(csv.DictReader(text, delimiter=delimiter))


@dataclass
class ReadWorkbook:
    """`heading`: the lines above the header. `sheet` for what values do not tell."""

    heading: list[str]
    header_row: int
    rows: list[dict[str, Any]]
    dictionary: list[dict[str, Any]]
    sheet: Any


def read_xlsx(answer: httpx.Response) -> ReadWorkbook:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == XLSX_TYPE
    first, *_, second = load_workbook(io.BytesIO(answer.content)).worksheets
    values: list[Any] = list(first.values)
    header_row = first.print_title_rows
    number = int(str(header_row).split(":")[0].strip("$"))
    heading = [str(row[0]) for row in values[: number - 1] if row[0] is not None]
    rows = [dict(zip(values[number - 1], row, strict=True)) for row in values[number:]]
    names, *entries = list[Any](second.values)
    dictionary = [dict(zip(names, entry, strict=True)) for entry in entries]
    return ReadWorkbook(heading, number, rows, dictionary, first)
