"""Path and query types of reports."""

from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query
from pydantic import StringConstraints

from app.reports.models import ReportKind, ReportStatus

ReportPeriodFilter = Annotated[
    str | None, Query(max_length=7, description="a month like 2026-10, or a year", examples=["2026-10"])
]
ObjectionNumber = Annotated[int, Path(ge=1, le=10_000, description="number of the objection", examples=[1])]
KindFilter = Annotated[ReportKind | None, Query(description="only reports of this kind", examples=["month"])]
StatusFilter = Annotated[ReportStatus | None, Query(description="only drafts, or issued ones", examples=["issued"])]
WithdrawalReason = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Query(min_length=1, max_length=500, description="recorded in the audit log", examples=["wrong contract"]),
]


class ReportFile(StrEnum):
    """`sites.csv`: a row a site and terms, of a year a row a site; `outages.csv`; `months.csv`: of a year;
    `method.json`: contract, terms, method and sums.
    """

    SITES = "sites.csv"
    OUTAGES = "outages.csv"
    MONTHS = "months.csv"
    METHOD = "method.json"


FileName = Annotated[ReportFile, Path(description="which file", examples=["sites.csv"])]
