from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import VERDICT, ContractVerdict, SlaVerdict
from app.availability.verdict_counts import COUNTS, VerdictCounts
from app.core.moments import WitaMoment
from app.core.periods import Step
from app.measurements.schemas import SegmentEvidence
from app.measurements.simulated_past import MarksSimulatedPast
from app.registry.models import State, UnknownReason

ROW: dict[str, Any] = {
    "start": "2026-11-24T20:31:44+08:00",
    "end": "2026-11-24T21:31:44+08:00",
    "seconds": {
        "up": 60,
        "degraded": 0,
        "down": 20,
        "unreachable": 0,
        "unknown": 13,
        "maintenance": 0,
        "inactive": 3507,
        "claimed": 0,
    },
    "uptime_pct": 75.0,
    "coverage_pct": 86.021,
    "worst_pct": 64.516,
    "best_pct": 78.494,
    "outages": 1,
    "longest_outage_s": 20,
    "down_by_cause": {"unclassified": 20},
    "countable_down_s": 0,
    "sla_target_pct": 97.5,
    "sla_verdict": "undetermined",
}
SITE_ROW: dict[str, Any] = {**ROW, "contract": VERDICT, "contracts": []}
CORRECTED: dict[str, Any] = {
    **SITE_ROW,
    "recorded_at": "2026-12-03T10:00:00+08:00",
    "reason": "late readings of the device",
}
CLAIM: dict[str, Any] = {
    "started_at": "2026-11-24T21:31:24+08:00",
    "ended_at": "2026-11-24T21:31:44+08:00",
    "received_at": "2026-11-24T23:02:10+08:00",
    "proven_state": "down",
}
SEGMENT: dict[str, Any] = {
    "started_at": "2026-11-24T21:31:24+08:00",
    "ended_at": "2026-11-24T21:31:44+08:00",
    "duration_s": 20,
    "state": "down",
    "unknown_reason": None,
    "last_ok_at": "2026-11-24T21:30:24+08:00",
    "first_ok_after": None,
    "confirmed_at": "2026-11-24T21:31:34+08:00",
    "evidence": "central",
    "claim": None,
}
SUM: dict[str, Any] = {**ROW, "sites": 1, "sla_target_pct": None, "sla_verdict": None, "verdicts": None}
CHILD: dict[str, Any] = {"code": "64.02", "name": "Kabupaten Kutai Kartanegara", **SUM}
TOTAL: dict[str, Any] = {**SUM, "verdicts": COUNTS}
PERIOD = {
    "from": "2026-11-24T20:31:44+08:00",
    "to": "2026-11-24T21:31:44+08:00",
    "settled_until": "2026-11-24T21:31:14+08:00",
}


SettledUntil = Annotated[
    WitaMoment,
    Field(
        description="before it, states change by corrections only: data that arrives late, or blindness of ours found "
        "afterwards. From it on, the next readings still decide: whether a lost look was an outage, where degraded "
        "began, whether a parent was out. Of many sites, the earliest. Some minutes ago; of a past period `to`"
    ),
]


class Seconds(BaseModel):
    """The seven states add up to the period exactly; `claimed` is a part of them."""

    up: int = Field(description="seconds up")
    degraded: int = Field(description="seconds slow or with losses, which count as good")
    down: int = Field(description="seconds down")
    unreachable: int = Field(description="seconds in which its node was down")
    unknown: int = Field(description="not measured, or not measurable; never inferred either way")
    maintenance: int = Field(description="within a maintenance window")
    inactive: int = Field(
        description="before activation, planned, suspended, retired; of a site that is present only at times, also "
        "what nobody heard outside its public hours"
    )
    claimed: int = Field(
        0,
        description="how many of these seconds rest on claims alone, which devices sent afterwards: they are `unknown` "
        "where they contradict a proven outage, else `up`",
    )


class UptimeRow(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ROW]})

    start: WitaMoment
    end: WitaMoment
    seconds: Seconds
    uptime_pct: float | None = Field(description="good/(good+bad), rounded down; null when nothing was measured")
    coverage_pct: float | None = Field(description="share of the period that was measured")
    worst_pct: float | None = Field(description="if all unmeasured time had been bad")
    best_pct: float | None = Field(description="if all unmeasured time had been good")
    outages: int = Field(
        description="as in /incidents: from the first loss to the next answer; those down in the period"
    )
    longest_outage_s: int = Field(description="seconds down inside the period, without maintenance")
    down_by_cause: dict[str, int]
    countable_down_s: int | None = Field(description="downtime that the contract counts; null without a contract")
    sla_target_pct: float | None = Field(description="null without a contract, or when more than one target applied")
    sla_verdict: SlaVerdict | None = Field(description="`undetermined` when unmeasured time would decide it")


class ContractedRow(UptimeRow):
    """Uptime of one site, with what its contract counts."""

    contract: ContractVerdict | None = Field(
        None,
        description="how `sla_verdict` comes about, and of how much of the time. Null without a contract, where "
        "several followed each other (see `contracts`), and in months that were closed before this was stored",
    )
    contracts: list[ContractVerdict] = Field(
        [],
        description="where the site was under several contracts, all of them: for the primary link and the backup at "
        "once, or one after another. Else empty",
    )


class CorrectedRow(ContractedRow):
    """A closed month's figures by what became known later."""

    model_config = ConfigDict(json_schema_extra={"examples": [CORRECTED]})

    recorded_at: WitaMoment = Field(description="when the correction was recorded")
    reason: str


class SiteUptimeRow(ContractedRow):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**SITE_ROW, "closed_at": "2026-12-02T08:10:00+08:00", "correction": CORRECTED}]
        }
    )

    closed_at: WitaMoment | None = Field(None, description="set for a whole closed month, whose figures never change")
    correction: CorrectedRow | None = Field(None, description="the latest correction of a closed month")


class UptimeOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{**PERIOD, "step": "hour", "series": [SITE_ROW], "total": SITE_ROW}]}
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    settled_until: SettledUntil
    step: Step
    series: list[SiteUptimeRow]
    total: SiteUptimeRow


class SumRow(UptimeRow):
    """The summed seconds of many access points; targets are per contract, so there is none here."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUM]})

    sites: int = Field(description="access points that were in service at some time in it")
    verdicts: VerdictCounts | None = Field(
        description="how many of its sites met their contracts, as in /sla; null in rows of hours and days",
        examples=[COUNTS],
    )


class SumUptimeOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{**PERIOD, "step": "hour", "series": [SUM], "total": TOTAL}]}
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    settled_until: SettledUntil
    step: Step
    series: list[SumRow]
    total: SumRow


class ChildRegionRow(SumRow):
    model_config = ConfigDict(json_schema_extra={"examples": [CHILD]})

    code: str = Field(description="Kemendagri code of the region")
    name: str


class ChildRegionsOut(MarksSimulatedPast):
    model_config = ConfigDict(json_schema_extra={"examples": [{**PERIOD, "items": [CHILD], "total": SUM}]})

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    settled_until: SettledUntil
    items: list[ChildRegionRow] = Field(description="by code; none below a village")
    total: SumRow = Field(description="of the region itself, with null for `verdicts`")


class ClaimOut(BaseModel):
    """A stretch that the site's device reported as good afterwards; nobody heard of it at the time."""

    model_config = ConfigDict(json_schema_extra={"examples": [CLAIM]})

    started_at: WitaMoment
    ended_at: WitaMoment
    received_at: WitaMoment = Field(description="of the push that claimed it first")
    proven_state: State = Field(description="what is proven: a claimed outage counts as unknown, unknown time as up")


class SegmentOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [SEGMENT]})

    started_at: WitaMoment
    ended_at: WitaMoment
    duration_s: int
    state: State
    unknown_reason: UnknownReason | None
    last_ok_at: WitaMoment | None = Field(description="the last answer before the segment")
    first_ok_after: WitaMoment | None = Field(description="by when the answer that ended it had come at the latest")
    confirmed_at: WitaMoment | None = Field(None, description="of an outage: the loss that confirmed it")
    evidence: SegmentEvidence
    claim: ClaimOut | None = Field(None, description="set where the state rests on a claim (docs/push.md)")


class SegmentsOut(MarksSimulatedPast):
    model_config = ConfigDict(json_schema_extra={"examples": [{**PERIOD, "items": [SEGMENT], "next_cursor": None}]})

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    settled_until: SettledUntil
    items: list[SegmentOut]
    next_cursor: str | None = None
