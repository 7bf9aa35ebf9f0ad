from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.contracts.restitution_rule import EXAMPLE as RULE
from app.contracts.restitution_rule import NO_OTHER_KIND, RestitutionRule, RestitutionRuleOut
from app.contracts.term_types import Causes, Day, Percent, Rupiah, Seconds, TimeOfDay
from app.core.errors import Fault
from app.core.validation import FaultError
from app.core.words import Words
from app.registry.models import Cause, FeePer
from app.registry.schemas import Mbps, Text

VALID_TO = "the first day on which it is no longer valid; null: open-ended"
DEGRADED_COUNTS = "whether degraded time counts as downtime; else it counts as good"
FEE_PER = "whose the monthly fee is: of the contract, shared by its sites by their days, or of each site"
RESTITUTION = "how what was not delivered is paid back; null: no rule, nothing is computed"
MIN_COVERAGE = "percent of the service time that must be known before anything is claimed; null: no such minimum"
REASON = "required if days before today change; recorded and audited"
SERVICE = "WITA, HH:MM; with service_to, or neither for the whole day. `service_to` 00:00 is the end of the day"
TERMS: dict[str, Any] = {
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
    "restitution": RULE,
    "min_coverage_pct": 90.0,
}
EXAMPLE: dict[str, Any] = {
    "number": "027/1123/DISKOMINFO/2026",
    "provider": "telkom-wms",
    "valid_from": "2026-01-01",
    "valid_to": "2027-01-01",
    **TERMS,
}


LEAVES_OUT: list[Any] = [
    {"id": "Putus layanan yang lebih singkat dari 300 detik", "en": "Outages shorter than 300 s"},
    {"id": "Putus layanan dengan penyebab listrik padam", "en": "Outages with cause power"},
    {"id": "Waktu selama pemeliharaan", "en": "Time under maintenance"},
    {"id": "Waktu dengan layanan menurun: dihitung baik", "en": "Degraded time: it counts as good"},
]
PAID_BACK: list[Any] = [
    {"id": "Biaya per bulan: Rp 4.500.000 untuk setiap titik akses", "en": "Fee a month: Rp 4,500,000 for each site"},
    {
        "id": "Restitusi di bawah ketersediaan 99,5%: 5% dari biaya",
        "en": "Restitution below 99.5% availability: 5% of the fee",
    },
]
RESTITUTION_EXAMPLE = {
    "id": "Contoh, sebulan 30 hari untuk satu titik akses. … Di bawah 99,5%: 5% × Rp 4.500.000 = Rp 225.000.",
    "en": "Example, a site's month of 30 days. … Below 99.5%: 5% × Rp 4,500,000 = Rp 225,000.",
}
TERMS_OUT: dict[str, Any] = {
    "started_on": "2026-01-01",
    "recorded_at": "2026-01-02T03:04:05Z",
    "recorded_by": "sari",
    "recorded_because": None,
    **TERMS,
    "restitution": RULE | NO_OTHER_KIND,
    "leaves_out": LEAVES_OUT,
    "paid_back": PAID_BACK,
}
OUT_EXAMPLE: dict[str, Any] = {
    "id": 7,
    **EXAMPLE,
    "restitution": RULE | NO_OTHER_KIND,
    "leaves_out": LEAVES_OUT,
    "paid_back": PAID_BACK,
    "restitution_example": RESTITUTION_EXAMPLE,
    "terms": [TERMS_OUT],
    "version": 1041,
    "created_at": "2026-01-02T03:04:05Z",
}


class ContractIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    number: Text
    provider: Annotated[Text, Field(description="the provider's slug")]
    valid_from: Day
    valid_to: Annotated[Day, Field(description=VALID_TO)] | None = None
    sla_target_pct: Percent
    min_outage_s: Annotated[Seconds, Field(description="outages proven shorter do not count (duration_min_s)")] = 300
    excluded_causes: Annotated[Causes, Field(description="outages of these causes do not count")] = [Cause.POWER]
    excuses_parent: bool = Field(False, description="whether the provider is excused while a parent node is down")
    degraded_counts: bool = Field(False, description=DEGRADED_COUNTS)
    service_from: Annotated[TimeOfDay, Field(description=SERVICE)] | None = None
    service_to: TimeOfDay | None = None
    bandwidth_down_mbps: Mbps | None = None
    bandwidth_up_mbps: Mbps | None = None
    monthly_fee_idr: Rupiah | None = None
    fee_per: FeePer = Field(FeePer.CONTRACT, description=FEE_PER)
    restitution: Annotated[RestitutionRule, Field(description=RESTITUTION)] | None = None
    min_coverage_pct: Annotated[Percent, Field(description=MIN_COVERAGE, examples=[90.0])] | None = None


NEVER_NULL = (
    "number",
    "provider",
    "valid_from",
    "sla_target_pct",
    "min_outage_s",
    "excluded_causes",
    "excuses_parent",
    "degraded_counts",
    "fee_per",
)


class ContractPatch(BaseModel):
    """Only given fields change; terms change from `effective_from` on, until the next dated terms."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"sla_target_pct": 98.5, "effective_from": "2026-12-01"}]}
    )

    number: Text | None = None
    provider: Annotated[Text, Field(description="cannot be changed")] | None = None
    valid_from: Day | None = None
    valid_to: Annotated[Day, Field(description=VALID_TO)] | None = Field(None, examples=["2027-01-01"])
    sla_target_pct: Percent | None = None
    min_outage_s: Seconds | None = None
    excluded_causes: Causes | None = None
    excuses_parent: bool | None = None
    degraded_counts: bool | None = Field(None, description=DEGRADED_COUNTS)
    service_from: Annotated[TimeOfDay, Field(description=SERVICE)] | None = None
    service_to: TimeOfDay | None = None
    bandwidth_down_mbps: Mbps | None = None
    bandwidth_up_mbps: Mbps | None = None
    monthly_fee_idr: Rupiah | None = None
    fee_per: FeePer | None = Field(None, description=FEE_PER)
    restitution: Annotated[RestitutionRule, Field(description=RESTITUTION)] | None = None
    min_coverage_pct: Annotated[Percent, Field(description=MIN_COVERAGE, examples=[90.0])] | None = None
    effective_from: Annotated[Day, Field(description="of changed terms; a day in WITA, default today")] | None = None
    reason: Annotated[Text, Field(description=REASON)] | None = None

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        for name in NEVER_NULL:
            if name in self.model_fields_set and getattr(self, name) is None:
                raise FaultError(Fault(name, "null", "This field cannot be emptied", "Leave it out to keep it"))
        return self


class TermsOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [TERMS_OUT]})

    started_on: date = Field(description="in force from this day (WITA) until the next terms")
    recorded_at: datetime = Field(
        description="when they were recorded, or last changed", examples=["2026-01-02T03:04:05Z"]
    )
    recorded_by: str | None = Field(description="by which account; null: not known", examples=["sari"])
    recorded_because: str | None = Field(
        description="the reason that was given; null: none", examples=["Adendum 2 tanggal 9 November 2026"]
    )
    sla_target_pct: float
    min_outage_s: int
    excluded_causes: list[Cause]
    excuses_parent: bool
    degraded_counts: bool = Field(description=DEGRADED_COUNTS, examples=[False])
    service_from: str | None = Field(examples=["07:00"])
    service_to: str | None
    bandwidth_down_mbps: float | None
    bandwidth_up_mbps: float | None
    monthly_fee_idr: int | None
    fee_per: FeePer = Field(description=FEE_PER)
    restitution: RestitutionRuleOut | None = Field(description=RESTITUTION)
    min_coverage_pct: float | None = Field(description=MIN_COVERAGE)
    leaves_out: list[Words] = Field(description="what these terms do not count as downtime", examples=[LEAVES_OUT])
    paid_back: list[Words] = Field(description="the fee, and what these terms pay back of it", examples=[PAID_BACK])


class ContractOut(BaseModel):
    """Fields of the terms in force today (before the contract begins, of the first ones), and all terms as `terms`."""

    model_config = ConfigDict(json_schema_extra={"examples": [OUT_EXAMPLE]})

    id: int
    number: str
    provider: str
    valid_from: date
    valid_to: date | None = Field(description=VALID_TO)
    sla_target_pct: float
    min_outage_s: int
    excluded_causes: list[Cause]
    excuses_parent: bool
    degraded_counts: bool = Field(description=DEGRADED_COUNTS, examples=[False])
    service_from: str | None
    service_to: str | None
    bandwidth_down_mbps: float | None
    bandwidth_up_mbps: float | None
    monthly_fee_idr: int | None
    fee_per: FeePer = Field(description=FEE_PER)
    restitution: RestitutionRuleOut | None = Field(description=RESTITUTION)
    min_coverage_pct: float | None = Field(description=MIN_COVERAGE)
    leaves_out: list[Words] = Field(
        description="what the terms in force today do not count as downtime", examples=[LEAVES_OUT]
    )
    paid_back: list[Words] = Field(
        description="the fee, and what the terms in force today pay back of it", examples=[PAID_BACK]
    )
    restitution_example: Words | None = Field(
        description="a month by the restitution rule in force today, computed step by step; null: no rule",
        examples=[RESTITUTION_EXAMPLE],
    )
    terms: list[TermsOut] = Field(description="by the day they start on")
    version: int = Field(description="opaque; send it back as If-Match")
    created_at: datetime


class ContractCreated(ContractOut):
    """The contract, and which of its terms nobody gave."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**OUT_EXAMPLE, "defaulted": ["min_outage_s", "excluded_causes"]}]}
    )

    defaulted: list[str] = Field(
        description="terms that were not given and have their default: compare them with the contract on paper",
        examples=[["min_outage_s", "excluded_causes"]],
    )
