from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import CONTRACT, ContractReference
from app.availability.schemas import ClaimOut
from app.core.moments import WitaMoment
from app.core.words import Words
from app.explaining.judged_reading import ReadingMark
from app.judging.schemas import MEASUREMENT, BlindReason, BlindSource, MeasurementOut
from app.measurements.schemas import SegmentEvidence
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology
from app.registry.models import Cause, LinkRole, State, UnknownReason
from probes.contract import Outcome

START, LAST, END = "2026-11-24T21:31:24+08:00", "2026-11-24T21:30:24+08:00", "2026-11-24T21:38:02+08:00"
READING: dict[str, Any] = {
    **MEASUREMENT,
    "slot": START,
    "outcome": "timeout",
    "received": 0,
    "rtt_ms": [],
    "judged_as": "timeout",
    "behind_parent": False,
    "marks": ["began"],
}
SEGMENT: dict[str, Any] = {
    "started_at": START,
    "ended_at": END,
    "duration_s": 398,
    "state": "down",
    "unknown_reason": None,
    "last_ok_at": LAST,
    "first_ok_after": END,
    "confirmed_at": "2026-11-24T21:31:34+08:00",
    "evidence": "central",
    "claim": None,
}
PROFILE: dict[str, Any] = {
    "technology": "fiber",
    "started_at": None,
    "interval_s": 60,
    "loss_pct": 15.0,
    "rtt_ms": 150,
    "confirming_losses": 2,
}
PARENT: dict[str, Any] = {
    "id": 17,
    "code": "64.02.05.2001-01",
    "name": "Menara Muara Badak",
    "state": "up",
    "since": LAST,
}
RANGE: dict[str, Any] = {"started_at": "2026-11-24T21:00:00+08:00", "ended_at": "2026-11-24T21:10:00+08:00"}
BLIND: dict[str, Any] = {**RANGE, "source": "central", "reason": "uplink"}
COUNTED: dict[str, Any] = {
    "contract": CONTRACT,
    "link_role": "primary",
    "counted_as": "counted_down",
    "proven_s": 388,
    "min_outage_s": 300,
}
NEAR: dict[str, Any] = {
    "slot": "2026-11-24T21:32:24+08:00",
    "lan": True,
    "terminal": False,
    "carrier": True,
    "text": {"id": "gateway menjawab, terminal tidak", "en": "the gateway answered, the terminal did not"},
}
EXAMPLE: dict[str, Any] = {
    "site_id": 512,
    "code": "64.02.05.2003-01",
    "at": "2026-11-24T21:33:00+08:00",
    "state": "down",
    "unknown_reason": None,
    "counts_as": "down",
    "settled": True,
    "why": [
        {
            "id": "Putus sejak 24 November 2026 21.31.24 WITA: dua pengukuran berturut-turut tanpa jawaban, yang kedua "
            "pada 24 November 2026 21.31.34 WITA.",
            "en": "Down since 24 November 2026 21:31:24 WITA: two looks in a row got no answer, the second one at "
            "24 November 2026 21:31:34 WITA.",
        }
    ],
    "segment": SEGMENT,
    "profile": PROFILE,
    "near": NEAR,
    "readings": [READING],
    "beginning": [READING],
    "blind_ranges": [BLIND],
    "parent": PARENT,
    "maintenance": [RANGE],
    "incident_id": 71,
    "cause": None,
    "contracts": [COUNTED],
}


class SecondKind(StrEnum):
    """`up`, `degraded`, `down`, `unreachable`, `unknown`: the state; `maintenance`: planned; `inactive`: the site was
    not in service, or, present only at times, was not heard outside its public hours.
    """

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"
    INACTIVE = "inactive"


class JudgedReadingOut(MeasurementOut):
    """A reading, and how it was judged."""

    model_config = ConfigDict(json_schema_extra={"examples": [READING]})

    judged_as: Outcome | None = Field(
        description="`fault` where what it lost is our own fault; null: a claim, which is not judged"
    )
    behind_parent: bool = Field(description="whether it was lost while the node that the site depends on was out")
    marks: list[ReadingMark] = Field(description="what it means for the second", examples=[["began"]])


class ExplainedSegment(BaseModel):
    """The segment that the second lies in, in its whole length."""

    model_config = ConfigDict(json_schema_extra={"examples": [SEGMENT]})

    started_at: WitaMoment
    ended_at: WitaMoment | None
    duration_s: int = Field(description="its length so far in seconds")
    state: State
    unknown_reason: UnknownReason | None
    last_ok_at: WitaMoment | None = Field(description="the last answer before the segment")
    first_ok_after: WitaMoment | None = Field(description="by when the answer that ended it had come at the latest")
    confirmed_at: WitaMoment | None = Field(description="of an outage: the loss that confirmed it")
    evidence: SegmentEvidence
    claim: ClaimOut | None = Field(description="set where the state rests on a claim (docs/push.md)")


class ProfileInForceOut(BaseModel):
    """The limits that readings were judged by at that second."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROFILE]})

    technology: Technology
    started_at: WitaMoment | None = Field(description="since when they are in force; null: ever")
    interval_s: int = Field(description="seconds between two looks of ours", examples=[60])
    loss_pct: float = Field(description="percent of packets lost over ten looks from which a site is degraded")
    rtt_ms: int = Field(description="median round trip of three looks, in ms, above which it is", examples=[150])
    confirming_losses: int = Field(description="looks in a row without an answer that make an outage", examples=[2])


class ParentOut(BaseModel):
    """The node that the site depended on, at that second."""

    model_config = ConfigDict(json_schema_extra={"examples": [PARENT]})

    id: int
    code: str | None = Field(description="its code; null outside of your scope")
    name: str | None = Field(description="its name; null outside of your scope")
    state: State | None = Field(description="its state; null before it was registered")
    since: WitaMoment | None = Field(description="when that began")


class RangeOut(BaseModel):
    """A part of the time."""

    model_config = ConfigDict(json_schema_extra={"examples": [RANGE]})

    started_at: WitaMoment
    ended_at: WitaMoment


class BlindnessOut(RangeOut):
    """When the service itself could not see."""

    model_config = ConfigDict(json_schema_extra={"examples": [BLIND]})

    source: BlindSource
    reason: BlindReason


class CountedSecondOut(BaseModel):
    """What a contract counts the second as."""

    model_config = ConfigDict(json_schema_extra={"examples": [COUNTED]})

    contract: ContractReference
    link_role: LinkRole
    counted_as: str = Field(
        description="`good`; `counted_down`; `unknown`; `outside` of service or service hours; or why it is left out: "
        "`maintenance`, `short`, `parent`, or the cause",
        examples=["counted_down"],
    )
    proven_s: int | None = Field(description="proven seconds of its outage, of those that may count; null: of none")
    min_outage_s: int = Field(description="seconds from which the contract counts an outage", examples=[300])


class NearLookOut(BaseModel):
    """What the site's device saw near itself, by its own account, while nothing beyond answered."""

    model_config = ConfigDict(json_schema_extra={"examples": [NEAR]})

    slot: WitaMoment = Field(description="the last such look of the outage, at most ten minutes before the second")
    lan: bool | None = Field(description="whether the next hop answered, a device of the site; null: not asked")
    terminal: bool | None = Field(description="whether the link's terminal answered; null: not asked")
    carrier: bool | None = Field(description="whether its interface towards the next hop had a signal; null: not asked")
    text: Words = Field(description="the same in words", examples=[NEAR["text"]])


class ExplanationOut(MarksSimulatedPast):
    """Why a second has its state."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    site_id: int
    code: str
    at: WitaMoment = Field(description="the second that is explained")
    state: State | None = Field(description="its state, as in `/sites/{id}/segments`; null outside of service")
    unknown_reason: UnknownReason | None
    counts_as: SecondKind = Field(description="what it counts as in `/sites/{id}/uptime`")
    settled: bool = Field(description="whether no reading that still arrives in time changes it")
    why: list[Words] = Field(description="sentences, the decisive one first", examples=[EXAMPLE["why"]])
    segment: ExplainedSegment | None = Field(description="what it lies in; null outside of service")
    profile: ProfileInForceOut | None = Field(description="null before the site was registered")
    near: NearLookOut | None = Field(description="null: it is not down then, or its device told nothing")
    readings: list[JudgedReadingOut] = Field(description="up to `around_s` away from the second, oldest first")
    beginning: list[JudgedReadingOut] = Field(description="the last ones before the segment, and its first ones")
    blind_ranges: list[BlindnessOut] = Field(description="those up to `around_s` away")
    parent: ParentOut | None = Field(description="null: it depended on no node")
    maintenance: list[RangeOut] = Field(description="planned works that cover the second")
    incident_id: int | None = Field(description="the incident that the second is part of", examples=[71])
    cause: Cause | None = Field(description="the cause that is recorded of it")
    contracts: list[CountedSecondOut] = Field(description="what the contracts in force count it as")

    def covered_moments(self) -> list[datetime]:
        return [self.at]
