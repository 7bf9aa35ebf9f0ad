"""The figures of a berita acara: a line a site and link, its stretches by terms, totals, and each outage."""

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_outage_schemas import OutageKind
from app.availability.contract_schemas import Percentage, SlaVerdict
from app.contracts.restitution_amounts import RestitutionStatus
from app.core.moments import WitaMoment
from app.core.words import Words
from app.profiles import Technology
from app.registry.models import Cause, LinkRole

SECONDS: dict[str, Any] = {
    "covered_s": 2_678_400,
    "service_s": 2_678_400,
    "good_s": 2_648_060,
    "counted_down_s": 16_760,
    "excluded": {"maintenance": 7_200, "power": 6_300, "short": 80},
    "unknown_s": 0,
    "claimed_s": 0,
}
STEPS: list[Any] = [
    {
        "id": "Rp4.500.000 × 16.760 ÷ 2.678.400 detik = Rp28.158,60",
        "en": "Rp4,500,000 × 16,760 ÷ 2,678,400 s = Rp28,158.60",
    }
]
RESTITUTION: dict[str, Any] = {
    "idr": 28_159,
    "least_idr": 28_159,
    "most_idr": 28_159,
    "status": "due",
    "steps": STEPS,
}
STRETCH: dict[str, Any] = {
    "from": "2026-10-01T00:00:00+08:00",
    "to": "2026-11-01T00:00:00+08:00",
    "terms_on": "2026-01-01",
    **SECONDS,
    "target_pct": 99.0,
    "fee": "4500000/1",
}
SITE: dict[str, Any] = {
    "code": "64.02.05.2003-01",
    "name": "Muara Badak Ulu",
    "link_role": "primary",
    "service_no": "4721-88120",
    "village_code": "64.02.05.2003",
    "village": "Muara Badak Ulu",
    "subdistrict": "Muara Badak",
    "district": "Kabupaten Kutai Kartanegara",
    "technology": "fiber",
    "stretches": [STRETCH],
    "fee_idr": 4_500_000,
    **SECONDS,
    "coverage_pct": 100.0,
    "availability_pct": 99.374,
    "worst_pct": 99.374,
    "best_pct": 99.374,
    "target_pct": 99.0,
    "required_pct": 99.0,
    "missed_by_s": 0,
    "verdict": "met",
    "restitution": RESTITUTION,
    "notes": [],
}
TOTALS: dict[str, Any] = {
    "sites": 1,
    **SECONDS,
    "coverage_pct": 100.0,
    "verdicts": {"met": 1, "missed": 0, "undetermined": 0, "no_service": 0},
    "fee_idr": 4_500_000,
    "sites_without_fee": 0,
    "restitution_idr": 28_159,
    "least_idr": 28_159,
    "most_idr": 28_159,
    "payable_idr": 4_471_841,
    "statuses": {"due": 1, "none": 0, "not_provable": 0, "no_rule": 0, "no_fee": 0},
}
OUTAGE: dict[str, Any] = {
    "site": "64.02.05.2003-01",
    "link_role": "primary",
    "terms_on": "2026-01-01",
    "kind": "downtime",
    "last_ok_at": "2026-10-07T09:11:20+08:00",
    "started_at": "2026-10-07T09:12:20+08:00",
    "confirmed_at": "2026-10-07T09:12:30+08:00",
    "ended_at": "2026-10-07T11:40:50+08:00",
    "first_ok_after": "2026-10-07T11:40:50+08:00",
    "duration_s": 8_910,
    "duration_min_s": 8_880,
    "duration_max_s": 8_970,
    "counted_s": 8_910,
    "excluded": {},
    "unknown_s": 0,
    "contested_s": 0,
    "compared_s": 8_880,
    "min_outage_s": 300,
    "why": {
        "id": "Dihitung putus: 2 jam 28 menit 30 detik. Terbukti: 2 jam 28 menit; gangguan dihitung mulai 5 menit.",
        "en": "Counted as down: 2 h 28 min 30 s. Proven: 2 h 28 min; outages count from 5 min on.",
    },
    "cause": "link",
    "cause_set_by": "ana",
    "cause_set_at": "2026-10-07T16:02:11+08:00",
    "incident_id": 71,
    "ticket_no": "T-2026-118",
    "unreachable_s": 0,
    "parent_code": None,
    "parent_name": None,
    "parent_incident_id": None,
    "parent_ticket_no": None,
    "parent_cause": None,
}


class SecondsCounted(BaseModel):
    """Good, counted down, excluded and unknown seconds add up to those of service, exactly."""

    covered_s: int = Field(description="seconds under the contract", examples=[2_678_400])
    service_s: int = Field(description="of these in service, within service hours", examples=[2_678_400])
    good_s: int = Field(description="good seconds", examples=[2_648_060])
    counted_down_s: int = Field(description="seconds down that count", examples=[16_760])
    excluded: dict[str, int] = Field(description="seconds that do not count, by reason", examples=[{"power": 6_300}])
    unknown_s: int = Field(description="seconds that were not measured", examples=[0])
    claimed_s: int = Field(description="seconds that rest on claims of the device alone", examples=[0])


class RestitutionLine(BaseModel):
    """What is due for a site, and how it was computed."""

    model_config = ConfigDict(json_schema_extra={"examples": [RESTITUTION]})

    idr: int = Field(description="rupiah due, rounded once", examples=[28_159])
    least_idr: int = Field(description="rupiah, if all that is unknown had been good", examples=[28_159])
    most_idr: int = Field(description="rupiah, if all that is unknown had been down", examples=[28_159])
    status: RestitutionStatus = Field(description="what came of it", examples=["due"])
    steps: list[Words] = Field(description="the arithmetic, a step each", examples=[STEPS])


class ReportStretch(SecondsCounted):
    """What was counted under one set of terms."""

    model_config = ConfigDict(json_schema_extra={"examples": [STRETCH]})

    from_: WitaMoment = Field(alias="from", description="first second under these terms", examples=[STRETCH["from"]])
    to: WitaMoment = Field(description="end of the last one", examples=[STRETCH["to"]])
    terms_on: date = Field(description="day on which these terms began: see the contract's", examples=["2026-01-01"])
    target_pct: float = Field(description="percent required", examples=[99.0])
    fee: str | None = Field(
        description="its part of the fee in rupiah, an exact fraction `num/den`; null: no fee", examples=["4500000/1"]
    )


class ReportSite(SecondsCounted):
    """A site's line."""

    model_config = ConfigDict(json_schema_extra={"examples": [SITE]})

    code: str = Field(description="the site's code", examples=[SITE["code"]])
    name: str = Field(description="the site's name", examples=[SITE["name"]])
    link_role: LinkRole = Field(description="the link that the contract is for", examples=["primary"])
    service_no: str | None = Field(description="the provider's service number", examples=[SITE["service_no"]])
    village_code: str = Field(description="where it was last in service in this time", examples=["64.02.05.2003"])
    village: str = Field(description="name of the village", examples=[SITE["village"]])
    subdistrict: str = Field(description="name of the kecamatan", examples=[SITE["subdistrict"]])
    district: str = Field(description="name of the kabupaten or kota", examples=[SITE["district"]])
    technology: Technology = Field(description="how it was connected", examples=["fiber"])
    stretches: list[ReportStretch] = Field(description="by terms: at least one")
    fee_idr: int | None = Field(description="fee of the month, rounded; null: none", examples=[4_500_000])
    coverage_pct: Percentage = Field(description="percent of the service seconds that are known")
    availability_pct: Percentage = Field(description="percent of what is known that was available")
    worst_pct: Percentage = Field(description="percent, if all that is unknown had been down")
    best_pct: Percentage = Field(description="percent, if all that is unknown had been good")
    target_pct: Percentage = Field(description="percent required; null if it changed: see stretches")
    required_pct: Percentage = Field(description="percent required of all service seconds")
    missed_by_s: int | None = Field(description="seconds beyond what the target allows", examples=[0])
    verdict: SlaVerdict | None = Field(description="null without a second of service", examples=["met"])
    restitution: RestitutionLine = Field(description="what is due")
    notes: list[Words] = Field(description="joined, left, moved, corrected since it was closed", examples=[[]])


class ReportTotals(SecondsCounted):
    """Sums over all lines."""

    model_config = ConfigDict(json_schema_extra={"examples": [TOTALS]})

    sites: int = Field(description="lines", examples=[1])
    coverage_pct: Percentage = Field(description="percent of all service seconds that are known")
    verdicts: dict[str, int] = Field(
        description="lines by verdict, `no_service` without one", examples=[TOTALS["verdicts"]]
    )
    fee_idr: int | None = Field(
        description="the exact fees added up, rounded once; null if no line has one", examples=[4_500_000]
    )
    sites_without_fee: int = Field(description="lines without a fee", examples=[0])
    restitution_idr: int = Field(description="sum of the lines' rounded restitutions", examples=[28_159])
    least_idr: int = Field(description="if all that is unknown had been good", examples=[28_159])
    most_idr: int = Field(description="if all that is unknown had been down", examples=[28_159])
    payable_idr: int | None = Field(
        description="fee less restitution, before tax; null without a fee", examples=[4_471_841]
    )
    statuses: dict[str, int] = Field(description="lines by status of restitution", examples=[TOTALS["statuses"]])


class ReportOutage(BaseModel):
    """An outage as the contract counts it: counted seconds of all of a line's add up to its `counted_down_s`."""

    model_config = ConfigDict(json_schema_extra={"examples": [OUTAGE]})

    site: str = Field(description="code of the site", examples=[OUTAGE["site"]])
    link_role: LinkRole = Field(description="the link that the contract is for", examples=["primary"])
    terms_on: date = Field(description="terms in force when it began in the period", examples=["2026-01-01"])
    kind: OutageKind = Field(description="downtime, or degraded time that counts", examples=["downtime"])
    last_ok_at: WitaMoment | None = Field(description="last answer before it", examples=[OUTAGE["last_ok_at"]])
    started_at: WitaMoment = Field(description="first loss", examples=[OUTAGE["started_at"]])
    confirmed_at: WitaMoment | None = Field(description="loss that confirmed it", examples=[OUTAGE["confirmed_at"]])
    ended_at: WitaMoment | None = Field(description="next answer; null: not over", examples=[OUTAGE["ended_at"]])
    first_ok_after: WitaMoment | None = Field(
        description="by when it had come at the latest", examples=[OUTAGE["first_ok_after"]]
    )
    duration_s: int | None = Field(description="seconds from started_at to ended_at", examples=[8_910])
    duration_min_s: int | None = Field(description="seconds proven by losses", examples=[8_880])
    duration_max_s: int | None = Field(description="seconds between the answers around it", examples=[8_970])
    counted_s: int = Field(description="seconds of the period that count as down", examples=[8_910])
    excluded: dict[str, int] = Field(description="seconds that do not count, by reason", examples=[{"power": 900}])
    unknown_s: int = Field(description="seconds that nobody saw, or that are contested", examples=[0])
    contested_s: int = Field(0, description="of these, seen down here and contested by the device", examples=[0])
    compared_s: int = Field(description="proven seconds that min_outage_s is compared with", examples=[8_880])
    min_outage_s: int = Field(description="seconds from which an outage counts", examples=[300])
    why: Words = Field(description="what counts of it and what does not", examples=[OUTAGE["why"]])
    cause: Cause | None = Field(description="the cause that was set; null: none", examples=["link"])
    cause_set_by: str | None = Field(description="account that set it", examples=["ana"])
    cause_set_at: WitaMoment | None = Field(description="when it was set", examples=[OUTAGE["cause_set_at"]])
    incident_id: int | None = Field(description="as in /incidents/{id}", examples=[71])
    ticket_no: str | None = Field(description="the incident's ticket", examples=["T-2026-118"])
    unreachable_s: int = Field(0, description="seconds of the whole outage while its parent was out", examples=[0])
    parent_code: str | None = Field(
        None, description="that parent; null: none, or of another provider", examples=["64.02.05.2003-90"]
    )
    parent_name: str | None = Field(None, description="the parent's name", examples=["Menara Muara Badak"])
    parent_incident_id: int | None = Field(None, description="incident of the parent's own outage", examples=[70])
    parent_ticket_no: str | None = Field(None, description="that incident's ticket", examples=["T-2026-117"])
    parent_cause: Cause | None = Field(None, description="cause set for the parent's outage", examples=["power"])
