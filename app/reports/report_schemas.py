"""What the calls of reports answer; the data set itself is in `schemas` and `recap_schemas`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import CONTRACT, ContractReference
from app.core.moments import WitaMoment
from app.core.words import Words
from app.reports.models import ReportKind, ReportStatus
from app.reports.paper_schemas import ReportObjection
from app.reports.recap_schemas import RecapData
from app.reports.schemas import REPORT_DATA, ReportData

SUMMARY: dict[str, Any] = {
    "sites": 1,
    "service_s": 2_678_400,
    "counted_down_s": 16_760,
    "unknown_s": 0,
    "fee_idr": 4_500_000,
    "restitution_idr": 28_159,
    "least_idr": 28_159,
    "most_idr": 28_159,
    "payable_idr": 4_471_841,
}
REFERENCE: dict[str, Any] = {"id": 11, "number": "BA-2026-10-0003"}
CHANGED: dict[str, Any] = {
    "at": "2026-11-12T10:05:00+08:00",
    "changes": [{"id": "Restitusi: Rp 28.159 menjadi Rp 13.188", "en": "Restitution: Rp 28,159 became Rp 13,188"}],
}
REPORT: dict[str, Any] = {
    "id": 12,
    "contract": CONTRACT,
    "provider_name": "Telkom WMS",
    "period": "2026-10",
    "kind": "month",
    "status": "issued",
    "number": "BA-2026-10-0007",
    "corrects": None,
    "corrected_by": None,
    "reason": None,
    "objections_until": "2026-11-17T00:00:00+08:00",
    "open_to_objections": False,
    "no_objections_at": None,
    "objections": 1,
    "undecided": 0,
    "totals": SUMMARY,
    "sha256": "5d41402abc4b2a76b9719d911017c592ae3f1b0c2f8f4f6a0f6b9a1d2c3e4f50",
    "method": "berita-acara-1",
    "verify_code": "q7T1cV9xZk2LmA4s",
    "drafted_at": "2026-11-09T08:00:00+08:00",
    "drafted_by": "sari",
    "issued_at": "2026-11-17T09:00:00+08:00",
    "issued_by": "sari",
    "changes": [CHANGED],
    "version": 4,
}


class ReportReference(BaseModel):
    """Another report."""

    model_config = ConfigDict(json_schema_extra={"examples": [REFERENCE]})

    id: int = Field(description="its id", examples=[11])
    number: str | None = Field(description="its number; null: a draft", examples=["BA-2026-10-0003"])


class ReportChanges(BaseModel):
    """What changed of a draft's figures, and when."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHANGED]})

    at: WitaMoment = Field(description="when it was noticed", examples=[CHANGED["at"]])
    changes: list[Words] = Field(description="each figure", examples=[CHANGED["changes"]])


class ReportSummary(BaseModel):
    """Its sums."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUMMARY]})

    sites: int = Field(description="lines", examples=[1])
    service_s: int = Field(description="service seconds", examples=[SUMMARY["service_s"]])
    counted_down_s: int = Field(description="seconds counted as down", examples=[SUMMARY["counted_down_s"]])
    unknown_s: int = Field(description="seconds that are unknown", examples=[0])
    fee_idr: int | None = Field(description="fees; null: none is known", examples=[4_500_000])
    restitution_idr: int = Field(description="restitution", examples=[28_159])
    least_idr: int = Field(description="restitution, if all that is unknown had been good", examples=[28_159])
    most_idr: int = Field(description="restitution, if all that is unknown had been down", examples=[28_159])
    payable_idr: int | None = Field(description="fee less restitution", examples=[4_471_841])


class ReportOut(BaseModel):
    """A report without its data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [REPORT]})

    id: int = Field(description="its id", examples=[12])
    contract: ContractReference = Field(description="the contract", examples=[CONTRACT])
    provider_name: str = Field(description="the provider's name", examples=["Telkom WMS"])
    period: str = Field(description="month, or of a recapitulation the year", examples=["2026-10"])
    kind: ReportKind = Field(description="month, correction or recapitulation", examples=["month"])
    status: ReportStatus = Field(description="draft or issued", examples=["issued"])
    number: str | None = Field(description="given when it is issued", examples=["BA-2026-10-0007"])
    corrects: ReportReference | None = Field(description="the report that it corrects", examples=[None])
    corrected_by: ReportReference | None = Field(description="the report that corrects it", examples=[None])
    reason: str | None = Field(description="why it corrects another", examples=[None])
    objections_until: WitaMoment = Field(
        description="until when the provider may object", examples=[REPORT["objections_until"]]
    )
    open_to_objections: bool = Field(description="whether it may now")
    no_objections_at: WitaMoment | None = Field(
        description="when the provider said that it has none", examples=["2026-11-12T10:00:00+08:00"]
    )
    objections: int = Field(description="objections that were filed", examples=[1])
    undecided: int = Field(description="of these without a decision", examples=[0])
    totals: ReportSummary | None = Field(
        description="its sums; null to an office that sees some of its lines only: read the report", examples=[SUMMARY]
    )
    sha256: str = Field(description="data hash: SHA-256 over the SHA-256 of its files", examples=[REPORT["sha256"]])
    method: str = Field(description="version of the method", examples=["berita-acara-1"])
    verify_code: str = Field(description="opens the public page that verifies it", examples=["q7T1cV9xZk2LmA4s"])
    drafted_at: WitaMoment = Field(description="when it was drafted", examples=[REPORT["drafted_at"]])
    drafted_by: str = Field(description="by whom", examples=["sari"])
    issued_at: WitaMoment | None = Field(description="when it was issued", examples=[REPORT["issued_at"]])
    issued_by: str | None = Field(description="by whom", examples=["sari"])
    changes: list[ReportChanges] = Field(description="of its figures while it was a draft", examples=[[CHANGED]])
    version: int = Field(description="send it back as If-Match", examples=[4])


class ReportWhole(ReportOut):
    """A report with its data set, of which an office sees the lines of its region."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**REPORT, "extract": None, "notice": None, "data": REPORT_DATA}]}
    )

    extract: str | None = Field(
        description="the region whose lines these are; null: all of them. Hash and files of an extract are its own",
        examples=[None],
    )
    notice: Words | None = Field(description="why the draft's figures may be out of date", examples=[None])
    data: ReportData | RecapData = Field(description="the data set")


class Objections(BaseModel):
    """The objections to a report."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{**REPORT_DATA["objections"][0]}], "next_cursor": None}]}
    )

    items: list[ReportObjection] = Field(description="by number")
    next_cursor: str | None = Field(None, description="always null: there are never many", examples=[None])
