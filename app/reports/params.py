"""Path and query types of reports."""

from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query

ReportPeriodFilter = Annotated[
    str | None, Query(max_length=7, description="a month like 2026-10, or a year", examples=["2026-10"])
]
ObjectionNumber = Annotated[int, Path(ge=1, le=10_000, description="number of the objection", examples=[1])]


class ReportFile(StrEnum):
    """`sites.csv`: a row a site and terms, of a year a row a site; `outages.csv`; `months.csv`: of a year;
    `method.json`: contract, terms, method and sums.
    """

    SITES = "sites.csv"
    OUTAGES = "outages.csv"
    MONTHS = "months.csv"
    METHOD = "method.json"
