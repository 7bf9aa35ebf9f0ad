"""Every outage that touches a site's contracts: what counts of it, and why the rest does not."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import CONTRACT, VERDICT, ContractReference, ContractVerdict
from app.availability.schemas import SettledUntil
from app.core.moments import WitaMoment
from app.core.words import Words
from app.measurements.simulated_past import MarksSimulatedPast
from app.registry.models import Cause, LinkRole


class OutageKind(StrEnum):
    """`downtime`; `degraded`: where the terms count it as down."""

    DOWNTIME = "downtime"
    DEGRADED = "degraded"


OUTAGE: dict[str, Any] = {
    "kind": "downtime",
    "last_ok_at": "2026-10-21T11:14:24+08:00",
    "started_at": "2026-10-21T11:15:24+08:00",
    "confirmed_at": "2026-10-21T11:15:34+08:00",
    "ended_at": "2026-10-21T13:47:24+08:00",
    "first_ok_after": "2026-10-21T13:47:24+08:00",
    "duration_s": 9_120,
    "duration_min_s": 9_110,
    "duration_max_s": 9_180,
    "counted_s": 9_120,
    "excluded": {},
    "unknown_s": 0,
    "compared_s": 9_110,
    "min_outage_s": 300,
    "why": {
        "id": "Dihitung putus: 2 jam 32 menit. Terbukti: 2 jam 31 menit 50 detik; gangguan dihitung mulai 5 menit.",
        "en": "Counted as down: 2 h 32 min. Proven: 2 h 31 min 50 s; outages count from 5 min on.",
    },
    "cause": "link",
    "cause_set_by": "ana",
    "cause_set_at": "2026-10-21T16:02:11+08:00",
    "incident_id": 71,
    "ticket_no": "T-2026-118",
    "contract": CONTRACT,
    "link_role": "primary",
}
OUTAGES: dict[str, Any] = {
    "from": "2026-10-01T00:00:00+08:00",
    "to": "2026-11-01T00:00:00+08:00",
    "settled_until": "2026-11-01T00:00:00+08:00",
    "closed_at": None,
    "contracts": [VERDICT],
    "items": [OUTAGE],
    "next_cursor": None,
}


class ContractOutage(BaseModel):
    """An outage as a contract counts it, in the part that lies in the period; its bounds are those of the whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [OUTAGE]})

    kind: OutageKind = Field(
        description="`downtime`: from the first lost reading to the next answer, also while its parent was out; "
        "`degraded`: degraded time without a break, where the terms count it as down",
        examples=["downtime"],
    )
    last_ok_at: WitaMoment | None = Field(description="last answer before it", examples=[OUTAGE["last_ok_at"]])
    started_at: WitaMoment = Field(description="slot of the first loss", examples=[OUTAGE["started_at"]])
    confirmed_at: WitaMoment | None = Field(
        description="slot of the loss that confirmed it; null if it was unreachable behind its parent alone",
        examples=[OUTAGE["confirmed_at"]],
    )
    ended_at: WitaMoment | None = Field(
        description="slot of the next answer, or the end of service; null while it lasts", examples=[OUTAGE["ended_at"]]
    )
    first_ok_after: WitaMoment | None = Field(
        description="by when that answer had come at the latest", examples=[OUTAGE["first_ok_after"]]
    )
    duration_s: int | None = Field(description="seconds from started_at to ended_at", examples=[9_120])
    duration_min_s: int | None = Field(
        description="seconds proven by losses, as in /incidents; null if none of them was its own", examples=[9_110]
    )
    duration_max_s: int | None = Field(
        description="seconds from the last answer before it to the first after it", examples=[9_180]
    )
    counted_s: int = Field(description="seconds in the period that the contract counts as down", examples=[9_120])
    excluded: dict[str, int] = Field(
        description="seconds in the period that it leaves out, by reason as in the verdict", examples=[{"power": 900}]
    )
    unknown_s: int = Field(
        description="seconds in the period that nobody saw, or that the site's device contests", examples=[0]
    )
    compared_s: int = Field(
        description="seconds of the whole outage that are proven, within service hours, outside maintenance and not "
        "excluded: what min_outage_s is compared with",
        examples=[9_110],
    )
    min_outage_s: int = Field(description="seconds from which the terms count an outage", examples=[300])
    why: Words = Field(description="what counts of it and what does not, in words", examples=[OUTAGE["why"]])
    cause: Cause | None = Field(description="the cause that holds for most of it; null: none set", examples=["link"])
    cause_set_by: str | None = Field(description="who set it; null: nobody, or to a provider", examples=["ana"])
    cause_set_at: WitaMoment | None = Field(description="when it was set", examples=[OUTAGE["cause_set_at"]])
    incident_id: int | None = Field(description="as in /incidents/{id}; null: none", examples=[71])
    ticket_no: str | None = Field(
        description="the incident's; null to a provider that is not the only one concerned", examples=["T-2026-118"]
    )
    contract: ContractReference = Field(description="the contract that counts it so", examples=[CONTRACT])
    link_role: LinkRole = Field(description="the link that the contract is for", examples=["primary"])


class ContractOutages(MarksSimulatedPast):
    """The outages of a period under each contract, and the verdicts that they add up to."""

    model_config = ConfigDict(json_schema_extra={"examples": [OUTAGES]})

    from_: WitaMoment = Field(alias="from", description="start of the period", examples=[OUTAGES["from"]])
    to: WitaMoment = Field(description="end of the period, exclusive", examples=[OUTAGES["to"]])
    settled_until: SettledUntil
    closed_at: WitaMoment | None = Field(
        description="when the month was closed: /sla and /uptime have its figures of then, all here is as known now; "
        "null: not closed, or no whole month",
        examples=["2026-11-09T00:05:00+08:00"],
    )
    contracts: list[ContractVerdict] = Field(
        description="verdicts of the period: counted seconds, and those excluded other than by maintenance while the "
        "site was up, are the sums of the outages of all pages",
        examples=[[VERDICT]],
    )
    items: list[ContractOutage] = Field(description="in order of time", examples=[[OUTAGE]])
    next_cursor: str | None = Field(None, description="for the next page; null at the end", examples=[None])
