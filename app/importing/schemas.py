from typing import Any

from pydantic import BaseModel, Field

from app.importing.verdicts import RowVerdict
from app.web.problem_details import FaultOut


class FieldChangeOut(BaseModel):
    before: Any = None
    after: Any = None


class CellFaultOut(FaultOut):
    value: str | None = Field(None, description="the cell's text")
    column: str | None = Field(None, description="the cell's column in Excel", examples=["I"])
    header: str | None = Field(None, description="that column's header in the file", examples=["IP/Host"])


class CommonErrorOut(CellFaultOut):
    rows: int = Field(description="number of rows with this error and this text in the cell", examples=[84])
    labels: list[str] = Field(description="the first of those rows", examples=[["12", "13", "14"]])


class RowOut(BaseModel):
    sheet: str | None = Field(description="the row's sheet, if the file has rows on several")
    row: int = Field(description="row number as in Excel")
    verdict: RowVerdict
    code: str | None = Field(description="the site's code; null until it is registered")
    site_id: int | None
    changes: dict[str, FieldChangeOut]
    errors: list[CellFaultOut]
    warnings: list[CellFaultOut]


class CountsOut(BaseModel):
    create: int
    update: int
    same: int
    error: int
    warning: int = Field(description="rows with warnings, whatever their verdict")


class UnreadOut(BaseModel):
    sheet: str
    rows: int


class ColumnsOut(BaseModel):
    sheet: str | None = Field(description="the sheet that was read; the first of several")
    header_row: int
    recognised: dict[str, str] = Field(description="that sheet's headers by field")
    ignored: list[FaultOut]
    other_sheets: list[UnreadOut] = Field(description="sheets with cells but without the registry's columns")


class ImportOut(BaseModel):
    dry_run: bool
    applied: bool = Field(description="whether the file was written; also true if there was nothing to write")
    counts: CountsOut
    columns: ColumnsOut
    warnings: list[FaultOut] = Field(description="what was assumed, and columns, rows and sheets that were not read")
    common_errors: list[CommonErrorOut] = Field(
        description="errors that several rows share, those of most rows first: correct these first"
    )
    rows: list[RowOut]
