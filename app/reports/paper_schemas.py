"""What a berita acara says beside its figures: contract, parties, period, method, objections, warnings."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.core.words import Words
from app.registry.models import Cause

PERIOD: dict[str, Any] = {
    "month": "2026-10",
    "from": "2026-10-01T00:00:00+08:00",
    "to": "2026-11-01T00:00:00+08:00",
    "seconds": 2_678_400,
}
PARTIES: dict[str, Any] = {
    "place": "Samarinda",
    "work_order": "027/88/SPMK/2026 tanggal 2 Januari 2026",
    "package_id": "EKT-P2601-10293",
    "budget_account": "2.16.02.1.01.0004",
    "ppk": {"name": "Rina Wahyuni, S.T.", "nip": "198503122010012005", "decree": "SK 821/14/2026"},
    "provider_signatory": {"name": "Budi Santoso", "office": "Manajer Layanan Pemerintah"},
    "acknowledged_by": {"name": "Drs. H. Anwar", "nip": "197004111995031002", "office": "Kepala Dinas Kominfo"},
}
TERMS: dict[str, Any] = {
    "terms_on": "2026-01-01",
    "until": None,
    "recorded_at": "2026-01-02T11:04:05+08:00",
    "recorded_by": "sari",
    "recorded_because": None,
    "sla_target_pct": 99.0,
    "min_outage_s": 300,
    "excluded_causes": ["power"],
    "excuses_parent": False,
    "degraded_counts": False,
    "service_from": None,
    "service_to": None,
    "bandwidth_down_mbps": 50,
    "bandwidth_up_mbps": 25,
    "monthly_fee_idr": 4_500_000,
    "fee_per": "site",
    "restitution": {"kind": "proportional", "cap_pct": 100, "unknown": "unproven"},
    "min_coverage_pct": 90.0,
    "leaves_out": [{"id": "Putus layanan yang lebih singkat dari 300 detik", "en": "Outages shorter than 300 s"}],
    "paid_back": [
        {
            "id": "Restitusi: biaya × detik dihitung putus ÷ detik layanan",
            "en": "Restitution: fee × seconds counted as down ÷ service seconds",
        }
    ],
}
CONTRACT: dict[str, Any] = {
    "id": 7,
    "number": "027/1123/DISKOMINFO/2026",
    "provider": "telkom-wms",
    "provider_name": "Telkom WMS",
    "valid_from": "2026-01-01",
    "valid_to": "2027-01-01",
    "terms": [TERMS],
}
METHOD: dict[str, Any] = {
    "version": "berita-acara-1",
    "rounding": {
        "id": "Restitusi setiap baris dibulatkan ke rupiah terdekat satu kali, di akhir.",
        "en": "The restitution of each line is rounded to whole rupiah once, at the end.",
    },
    "statements": [
        {"id": "baik + putus dihitung + dikecualikan + tidak diketahui = detik layanan", "en": "good + counted down + "
         "excluded + unknown = service seconds"},
    ],
}  # fmt: skip
OBJECTION: dict[str, Any] = {
    "no": 1,
    "filed_by": "telkom.noc",
    "filed_by_name": "NOC Telkom",
    "filed_at": "2026-11-10T09:12:00+08:00",
    "site": "64.02.05.2003-01",
    "outage_started_at": "2026-10-07T09:12:20+08:00",
    "text": "Listrik PLN padam di desa itu sampai siang.",
    "evidence": "Laporan PLN ULP Bontang no. 88213",
    "decision": "accepted",
    "decision_text": "Penyebab diubah menjadi listrik padam.",
    "decided_by": "sari",
    "decided_by_name": "Sari Dewi",
    "decided_at": "2026-11-12T10:00:00+08:00",
}
WARNING: dict[str, Any] = {
    "code": "terms_changed",
    "id": "Ketentuan kontrak berubah pada 16 Oktober 2026: setiap bagian dihitung menurut ketentuannya.",
    "en": "The contract's terms changed on 16 October 2026: each part is counted by its own.",
}
CORRECTS: dict[str, Any] = {
    "id": 11,
    "number": "BA-2026-10-0003",
    "sha256": "5d41402abc4b2a76b9719d911017c592ae3f1b0c2f8f4f6a0f6b9a1d2c3e4f50",
    "reason": "Penyebab gangguan dikoreksi atas laporan PLN.",
    "changes": [{"id": "64.02.05.2003-01: putus dihitung 16.760 menjadi 7.850 detik", "en": "64.02.05.2003-01: "
                 "counted down 16,760 became 7,850 s"}],
}  # fmt: skip


class ReportPeriod(BaseModel):
    """The month (`2026-10`) or year (`2026`), and its seconds: the denominator is printed."""

    model_config = ConfigDict(json_schema_extra={"examples": [PERIOD]})

    month: str = Field(
        description="the month like `2026-10`, of a yearly recapitulation the year", examples=["2026-10"]
    )
    from_: WitaMoment = Field(alias="from", description="first second", examples=[PERIOD["from"]])
    to: WitaMoment = Field(description="end, exclusive", examples=[PERIOD["to"]])
    seconds: int = Field(description="seconds from `from` to `to`", examples=[2_678_400])


Line = Annotated[str | None, Field(max_length=200)]


class Official(BaseModel):
    """The officer who signs for the province (PPK)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PARTIES["ppk"]]})

    name: Line = Field(None, description="name, as printed under the signature", examples=["Rina Wahyuni, S.T."])
    nip: Line = Field(None, description="NIP", examples=["198503122010012005"])
    decree: Line = Field(None, description="decree of appointment", examples=["SK 821/14/2026"])


class Signatory(BaseModel):
    """Who signs for the provider."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PARTIES["provider_signatory"]]})

    name: Line = Field(None, description="name, as printed under the signature", examples=["Budi Santoso"])
    office: Line = Field(None, description="office held", examples=["Manajer Layanan Pemerintah"])


class Witness(BaseModel):
    """Who acknowledges the report: head of the office, or PPTK."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PARTIES["acknowledged_by"]]})

    name: Line = Field(None, description="name, as printed under the signature", examples=["Drs. H. Anwar"])
    nip: Line = Field(None, description="NIP", examples=["197004111995031002"])
    office: Line = Field(None, description="office held", examples=["Kepala Dinas Kominfo"])


class Parties(BaseModel):
    """Free texts for the paper; only `ppk.name` and `provider_signatory.name` are required, and only to issue."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PARTIES]})

    place: Line = Field(None, description="where it is signed", examples=["Samarinda"])
    work_order: Line = Field(
        None, description="number and date of the work order (SPMK)", examples=["027/88/SPMK/2026"]
    )
    package_id: Line = Field(None, description="id of the e-katalog package", examples=["EKT-P2601-10293"])
    budget_account: Line = Field(None, description="account of the budget (DPA)", examples=["2.16.02.1.01.0004"])
    ppk: Official = Field(default_factory=Official, description="who signs for the province")
    provider_signatory: Signatory = Field(default_factory=Signatory, description="who signs for the provider")
    acknowledged_by: Witness = Field(default_factory=Witness, description="who acknowledges it")


class ReportTerms(BaseModel):
    """Terms in force in the period; what a stretch's `terms_on` refers to."""

    model_config = ConfigDict(json_schema_extra={"examples": [TERMS]})

    terms_on: date = Field(description="first day (WITA) of these terms", examples=["2026-01-01"])
    until: date | None = Field(description="first day of the next terms; null: none follow", examples=[None])
    recorded_at: WitaMoment | None = Field(
        None,
        description="when they were recorded, or last changed; null: not kept",
        examples=["2026-01-02T11:04:05+08:00"],
    )
    recorded_by: str | None = Field(None, description="by which account; null: not known", examples=["sari"])
    recorded_because: str | None = Field(
        None, description="the reason that was given; null: none", examples=["Adendum 2 tanggal 9 November 2026"]
    )
    sla_target_pct: float = Field(description="percent of the service seconds", examples=[99.0])
    min_outage_s: int = Field(description="seconds from which an outage counts", examples=[300])
    excluded_causes: list[Cause] = Field(description="causes that do not count", examples=[["power"]])
    excuses_parent: bool = Field(description="whether time while a parent is down is excused")
    degraded_counts: bool = Field(description="whether degraded time counts as down")
    service_from: str | None = Field(description="start of service hours; null: all day", examples=["06:00"])
    service_to: str | None = Field(description="end of service hours", examples=["22:00"])
    bandwidth_down_mbps: float | None = Field(description="contracted download", examples=[50])
    bandwidth_up_mbps: float | None = Field(description="contracted upload", examples=[25])
    monthly_fee_idr: int | None = Field(description="rupiah a month before tax; null: none", examples=[4_500_000])
    fee_per: Literal["contract", "site"] = Field(description="whose fee that is", examples=["site"])
    restitution: dict[str, Any] | None = Field(
        description="the rule as in /contracts; null: none, so nothing is computed", examples=[TERMS["restitution"]]
    )
    min_coverage_pct: float | None = Field(description="coverage below it proves nothing; null: none", examples=[90.0])
    leaves_out: list[Words] = Field(description="what does not count as downtime", examples=[TERMS["leaves_out"]])
    paid_back: list[Words] = Field(
        description="the fee, and how restitution is computed", examples=[TERMS["paid_back"]]
    )


class ReportContract(BaseModel):
    """The contract as it is on the day of the data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTRACT]})

    id: int = Field(description="as in /contracts/{id}", examples=[7])
    number: str = Field(description="its number", examples=["027/1123/DISKOMINFO/2026"])
    provider: str = Field(description="the provider's slug", examples=["telkom-wms"])
    provider_name: str = Field(description="the provider's name", examples=["Telkom WMS"])
    valid_from: date = Field(description="first day", examples=["2026-01-01"])
    valid_to: date | None = Field(description="first day after; null: open", examples=["2027-01-01"])
    terms: list[ReportTerms] = Field(description="in force in the period, by day")


class ReportMethod(BaseModel):
    """How the figures were counted."""

    model_config = ConfigDict(json_schema_extra={"examples": [METHOD]})

    version: str = Field(description="of the method", examples=["berita-acara-1"])
    rounding: Words = Field(description="what is rounded, how and when", examples=[METHOD["rounding"]])
    statements: list[Words] = Field(description="rules of the count, a sentence each", examples=[METHOD["statements"]])


class ReportObjection(BaseModel):
    """What the provider objects to, and what was decided."""

    model_config = ConfigDict(json_schema_extra={"examples": [OBJECTION]})

    no: int = Field(description="number within the report, from 1", examples=[1])
    filed_by: str = Field(description="account that filed it", examples=["telkom.noc"])
    filed_by_name: str | None = Field(None, description="the account's name", examples=["NOC Telkom"])
    filed_at: WitaMoment = Field(description="when it was filed", examples=[OBJECTION["filed_at"]])
    site: str | None = Field(description="code of the site; null: the whole report", examples=["64.02.05.2003-01"])
    outage_started_at: WitaMoment | None = Field(
        description="start of the outage in question; null: none in particular", examples=["2026-10-07T09:12:20+08:00"]
    )
    text: str = Field(description="what is objected to, and why", examples=[OBJECTION["text"]])
    evidence: str | None = Field(description="what evidence is referred to", examples=[OBJECTION["evidence"]])
    decision: Literal["accepted", "rejected", "partly"] | None = Field(
        description="null: not decided yet", examples=["accepted"]
    )
    decision_text: str | None = Field(description="the reasons", examples=[OBJECTION["decision_text"]])
    decided_by: str | None = Field(description="account that decided", examples=["sari"])
    decided_by_name: str | None = Field(None, description="the account's name", examples=["Sari Dewi"])
    decided_at: WitaMoment | None = Field(description="when", examples=[OBJECTION["decided_at"]])


class ReportWarning(Words):
    """What a reader has to know beside the figures."""

    model_config = ConfigDict(json_schema_extra={"examples": [WARNING]})

    code: str = Field(description="which warning it is, for programs", examples=["terms_changed"])


class Corrects(BaseModel):
    """Which report this one corrects, and what changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [CORRECTS]})

    id: int = Field(description="id of the corrected report", examples=[11])
    number: str = Field(description="its number", examples=["BA-2026-10-0003"])
    sha256: str = Field(description="its data hash", examples=[CORRECTS["sha256"]])
    reason: str = Field(description="why it is corrected", examples=[CORRECTS["reason"]])
    changes: list[Words] = Field(description="each figure that changed", examples=[CORRECTS["changes"]])
