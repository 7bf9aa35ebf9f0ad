from typing import Any

from pydantic import BaseModel, Field

from app.importing.store import Verdict
from app.web.problem_details import FaultOut

EXAMPLE: dict[str, Any] = {
    "sheet": None,
    "row": 7,
    "verdict": "update",
    "code": "64.02.05.2003-01",
    "site_id": 512,
    "changes": {"host": {"before": "198.51.100.20", "after": "198.51.100.21"}},
    "errors": [],
    "warnings": [],
}


class ChangeOut(BaseModel):
    before: Any = None
    after: Any = None


class CellFaultOut(FaultOut):
    value: str | None = Field(None, description="what stands in the cell")
    column: str | None = Field(None, description="the cell's, as Excel calls it", examples=["I"])
    header: str | None = Field(None, description="what stands above that column", examples=["IP/Host"])


class RowOut(BaseModel):
    sheet: str | None = Field(description="the row's, where rows stand on more than one")
    row: int = Field(description="as Excel numbers it")
    verdict: Verdict
    code: str | None = Field(description="the site's; null as long as it is not registered")
    site_id: int | None
    changes: dict[str, ChangeOut]
    errors: list[CellFaultOut]
    warnings: list[CellFaultOut]


class CountsOut(BaseModel):
    create: int
    update: int
    same: int
    error: int
    warning: int = Field(description="of all of them, those with warnings")


class UnreadOut(BaseModel):
    sheet: str
    rows: int


class ColumnsOut(BaseModel):
    sheet: str | None = Field(description="the sheet that was read; of several the first")
    header_row: int
    recognised: dict[str, str] = Field(description="that sheet's header by field")
    ignored: list[FaultOut]
    other_sheets: list[UnreadOut] = Field(description="sheets with cells whose columns are not the registry's")


class ImportOut(BaseModel):
    dry_run: bool
    applied: bool = Field(description="whether it was written; also true when there was nothing to write")
    counts: CountsOut
    columns: ColumnsOut
    warnings: list[FaultOut] = Field(description="of columns, rows and sheets that are not read")
    rows: list[RowOut]
