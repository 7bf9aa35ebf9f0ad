"""The data set of a berita acara: all that its papers are made of, and nothing else."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.reports import figure_schemas, paper_schemas
from app.reports.figure_schemas import ReportOutage, ReportSite, ReportTotals
from app.reports.paper_schemas import (
    Corrects,
    Parties,
    ReportContract,
    ReportMethod,
    ReportObjection,
    ReportPeriod,
    ReportWarning,
)

FORMAT = "sinyal-desa/berita-acara/1"
REPORT_DATA: dict[str, Any] = {
    "format": FORMAT,
    "method": paper_schemas.METHOD,
    "contract": paper_schemas.CONTRACT,
    "parties": paper_schemas.PARTIES,
    "period": paper_schemas.PERIOD,
    "as_of": "2026-11-09T08:00:00+08:00",
    "closed_at": "2026-11-09T00:05:00+08:00",
    "sites": [figure_schemas.SITE],
    "totals": figure_schemas.TOTALS,
    "outages": [figure_schemas.OUTAGE],
    "objections": [paper_schemas.OBJECTION],
    "warnings": [paper_schemas.WARNING],
    "corrects": None,
    "simulated": False,
}


class ReportData(BaseModel):
    """The figures of a contract and month as one value, and what the papers say beside them."""

    model_config = ConfigDict(json_schema_extra={"examples": [REPORT_DATA]})

    format: Literal["sinyal-desa/berita-acara/1"] = Field(description="name and version of this shape")
    method: ReportMethod = Field(description="how it was counted")
    contract: ReportContract = Field(description="contract and terms in force")
    parties: Parties = Field(description="who signs, where, and by which papers")
    period: ReportPeriod = Field(description="the month and its seconds")
    as_of: WitaMoment = Field(description="when the data set was made", examples=[REPORT_DATA["as_of"]])
    closed_at: WitaMoment = Field(
        description="when the month was closed (its last line)", examples=["2026-11-09T00:05:00+08:00"]
    )
    sites: list[ReportSite] = Field(description="by code and link")
    totals: ReportTotals = Field(description="sums over all lines")
    outages: list[ReportOutage] = Field(description="by code, link and start")
    objections: list[ReportObjection] = Field(description="by number")
    warnings: list[ReportWarning] = Field(description="what has to be known beside the figures")
    corrects: Corrects | None = Field(description="the report that this one corrects; null: none", examples=[None])
    simulated: bool = Field(description="whether any of it rests on simulated measurements", examples=[False])
