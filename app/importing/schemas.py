from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.importing.verdicts import RowVerdict
from app.web.problem_schemas import FAULT, FaultOut


class FieldChangeOut(BaseModel):
    before: Any = Field(None, description="the field's value so far")
    after: Any = Field(None, description="its value by the row")


class CellFaultOut(FaultOut):
    value: str | None = Field(None, description="the cell's text", examples=["64.02.05.9999"])
    column: str | None = Field(None, description="the cell's column in Excel", examples=["I"])
    header: str | None = Field(None, description="that column's header in the file", examples=["IP/Host"])


CELL: dict[str, Any] = {**FAULT, "row": 12, "value": "64.02.05.9999", "column": "B", "header": "Kode desa"}
COMMON: dict[str, Any] = {**CELL, "rows": 84, "labels": ["12", "13", "14"]}


class CommonErrorOut(CellFaultOut):
    model_config = ConfigDict(json_schema_extra={"examples": [COMMON]})

    rows: int = Field(description="number of rows with this error and this text in the cell", examples=[84])
    labels: list[str] = Field(description="the first of those rows", examples=[["12", "13", "14"]])


class RowOut(BaseModel):
    sheet: str | None = Field(description="the row's sheet, if the file has rows on several")
    row: int = Field(description="row number as in Excel")
    verdict: RowVerdict
    code: str | None = Field(description="the site's code; null until it is registered")
    site_id: int | None
    changes: dict[str, FieldChangeOut] = Field(description="what the row changes, by field")
    errors: list[CellFaultOut] = Field(description="why the row cannot be imported")
    warnings: list[CellFaultOut] = Field(description="cells that are accepted but probably wrong")
    cells: dict[str, str] = Field(
        {},
        description="of a wrong row the texts of its cells, by field of the column",
        examples=[{"village_code": "64.02.05.9999", "technology": "fiber"}],
    )


class CountsOut(BaseModel):
    create: int = Field(description="rows that register a site")
    update: int = Field(description="rows that change a site")
    same: int = Field(description="rows that change nothing")
    error: int = Field(description="rows that are wrong")
    warning: int = Field(description="rows with warnings, whatever their verdict")


class UnreadOut(BaseModel):
    sheet: str = Field(description="name of the sheet")
    rows: int = Field(description="its rows with cells")


class ColumnsOut(BaseModel):
    sheet: str | None = Field(description="the sheet that was read; the first of several")
    header_row: int = Field(description="row of the headers, as in Excel")
    recognised: dict[str, str] = Field(description="that sheet's headers by field")
    ignored: list[FaultOut] = Field(description="headers that are no field, with a suggestion")
    other_sheets: list[UnreadOut] = Field(description="sheets with cells but without the registry's columns")


IMPORT: dict[str, Any] = {
    "dry_run": True,
    "applied": False,
    "upload": None,
    "counts": {"create": 1, "update": 0, "same": 0, "error": 84, "warning": 0},
    "columns": {
        "sheet": "Titik akses",
        "header_row": 3,
        "recognised": {"village_code": "Kode desa", "host": "IP/Host"},
        "ignored": [],
        "other_sheets": [{"sheet": "Rekap", "rows": 12}],
    },
    "warnings": [],
    "common_errors": [COMMON],
    "rows": [
        {
            "sheet": "Titik akses",
            "row": 4,
            "verdict": "create",
            "code": None,
            "site_id": None,
            "changes": {"host": {"before": None, "after": "198.51.100.30"}},
            "errors": [],
            "warnings": [],
            "cells": {},
        }
    ],
}


class ImportOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [IMPORT]})

    dry_run: bool = Field(description="whether nothing was to be written")
    applied: bool = Field(description="whether the file was written; also true if there was nothing to write")
    upload: str | None = Field(
        None, description="stands for the file in another request; null: it was not kept", examples=["c3VyYXQtanVhbGFu"]
    )
    counts: CountsOut = Field(description="rows by verdict")
    columns: ColumnsOut = Field(description="how the file was read")
    warnings: list[FaultOut] = Field(description="what was assumed, and columns, rows and sheets that were not read")
    common_errors: list[CommonErrorOut] = Field(
        description="errors that several rows share, those of most rows first: correct these first"
    )
    rows: list[RowOut] = Field(description="every row with its verdict")
