"""The data set of a yearly recapitulation: a line a month, and a line a site over the months that were issued."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import Percentage
from app.core.moments import WitaMoment
from app.registry.models import LinkRole
from app.reports import figure_schemas, paper_schemas
from app.reports.figure_schemas import SecondsCounted
from app.reports.paper_schemas import (
    Corrects,
    Parties,
    ReportContract,
    ReportMethod,
    ReportObjection,
    ReportPeriod,
    ReportWarning,
)

YEAR: dict[str, Any] = {
    "month": "2026",
    "from": "2026-01-01T00:00:00+08:00",
    "to": "2027-01-01T00:00:00+08:00",
    "seconds": 31_536_000,
}
MONTH: dict[str, Any] = {
    "month": "2026-10",
    "report_id": 12,
    "number": "BA-2026-10-0007",
    "issued_at": "2026-11-17T09:00:00+08:00",
    "sha256": paper_schemas.CORRECTS["sha256"],
    "corrects": None,
    "sites": 1,
    **figure_schemas.SECONDS,
    "availability_pct": 99.374,
    "fee_idr": 4_500_000,
    "restitution_idr": 28_159,
    "least_idr": 28_159,
    "most_idr": 28_159,
    "payable_idr": 4_471_841,
    "not_provable": 0,
}
SITE: dict[str, Any] = {
    "code": "64.02.05.2003-01",
    "name": "Muara Badak Ulu",
    "link_role": "primary",
    "village": "Muara Badak Ulu",
    "district": "Kabupaten Kutai Kartanegara",
    "months": 1,
    **figure_schemas.SECONDS,
    "availability_pct": 99.374,
    "missed": 0,
    "fee_idr": 4_500_000,
    "restitution_idr": 28_159,
}
TOTALS: dict[str, Any] = {
    "months": 1,
    **figure_schemas.SECONDS,
    "availability_pct": 99.374,
    "fee_idr": 4_500_000,
    "restitution_idr": 28_159,
    "least_idr": 28_159,
    "most_idr": 28_159,
    "payable_idr": 4_471_841,
}
FORMAT = "sinyal-desa/rekapitulasi/1"
RECAP_DATA: dict[str, Any] = {
    "format": FORMAT,
    "method": paper_schemas.METHOD,
    "contract": paper_schemas.CONTRACT,
    "parties": paper_schemas.PARTIES,
    "period": YEAR,
    "as_of": "2027-01-12T08:00:00+08:00",
    "months": [MONTH],
    "missing": ["2026-11", "2026-12"],
    "sites": [SITE],
    "totals": TOTALS,
    "objections": [],
    "warnings": [],
    "corrects": None,
    "simulated": False,
}


class RecapMonth(SecondsCounted):
    """An issued month, as its latest report has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [MONTH]})

    month: str = Field(description="the month", examples=["2026-10"])
    report_id: int = Field(description="its report", examples=[12])
    number: str = Field(description="the report's number", examples=["BA-2026-10-0007"])
    issued_at: WitaMoment = Field(description="when it was issued", examples=[MONTH["issued_at"]])
    sha256: str = Field(description="the report's data hash", examples=[MONTH["sha256"]])
    corrects: str | None = Field(description="number of the report that it corrects; null: none", examples=[None])
    sites: int = Field(description="lines", examples=[1])
    availability_pct: Percentage = Field(description="percent of what is known that was available")
    fee_idr: int | None = Field(description="fee", examples=[4_500_000])
    restitution_idr: int = Field(description="restitution", examples=[28_159])
    least_idr: int = Field(description="restitution, if all that is unknown had been good", examples=[28_159])
    most_idr: int = Field(description="restitution, if all that is unknown had been down", examples=[28_159])
    payable_idr: int | None = Field(description="fee less restitution", examples=[4_471_841])
    not_provable: int = Field(description="lines whose restitution cannot be proven", examples=[0])


class RecapSite(SecondsCounted):
    """A site over the months that were issued."""

    model_config = ConfigDict(json_schema_extra={"examples": [SITE]})

    code: str = Field(description="the site's code", examples=[SITE["code"]])
    name: str = Field(description="its name in the latest month", examples=[SITE["name"]])
    link_role: LinkRole = Field(description="the link that the contract is for", examples=["primary"])
    village: str = Field(description="its village in the latest month", examples=[SITE["village"]])
    district: str = Field(description="its kabupaten or kota", examples=[SITE["district"]])
    months: int = Field(description="months in which it has a line", examples=[1])
    availability_pct: Percentage = Field(description="percent of what is known that was available")
    missed: int = Field(description="months in which the target was missed", examples=[0])
    fee_idr: int | None = Field(description="rounded fees added up", examples=[4_500_000])
    restitution_idr: int = Field(description="restitutions added up", examples=[28_159])


class RecapTotals(SecondsCounted):
    """Sums over the months."""

    model_config = ConfigDict(json_schema_extra={"examples": [TOTALS]})

    months: int = Field(description="months that are issued", examples=[1])
    availability_pct: Percentage = Field(description="percent of what is known that was available")
    fee_idr: int | None = Field(description="fees added up", examples=[4_500_000])
    restitution_idr: int = Field(description="restitutions added up", examples=[28_159])
    least_idr: int = Field(description="if all that is unknown had been good", examples=[28_159])
    most_idr: int = Field(description="if all that is unknown had been down", examples=[28_159])
    payable_idr: int | None = Field(description="fees less restitutions", examples=[4_471_841])


class RecapData(BaseModel):
    """The issued reports of a contract and year, added up."""

    model_config = ConfigDict(json_schema_extra={"examples": [RECAP_DATA]})

    format: Literal["sinyal-desa/rekapitulasi/1"] = Field(description="name and version of this shape")
    method: ReportMethod = Field(description="how the months were counted")
    contract: ReportContract = Field(description="contract and terms in force")
    parties: Parties = Field(description="who signs, where, and by which papers")
    period: ReportPeriod = Field(description="the year and its seconds; so far: until the end of `through`")
    through: str | None = Field(
        None, description="last month in it, where months of the contract and year follow", examples=["2026-10"]
    )
    as_of: WitaMoment = Field(description="when the data set was made", examples=[RECAP_DATA["as_of"]])
    months: list[RecapMonth] = Field(description="by month")
    missing: list[str] = Field(description="months of the contract that are not issued", examples=[["2026-11"]])
    sites: list[RecapSite] = Field(description="by code and link")
    totals: RecapTotals = Field(description="sums over the months")
    objections: list[ReportObjection] = Field(description="by number", examples=[[]])
    warnings: list[ReportWarning] = Field(description="what has to be known beside the figures")
    corrects: Corrects | None = Field(description="the recapitulation that this one corrects", examples=[None])
    simulated: bool = Field(description="whether any of it rests on simulated measurements", examples=[False])
