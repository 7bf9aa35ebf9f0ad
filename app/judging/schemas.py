from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.judging.canary_evidence import CanaryVerdict
from app.measurements.schemas import ReadingSource
from app.measurements.simulated_past import MarksSimulatedPast
from probes.contract import Outcome

EXAMPLE: dict[str, Any] = {
    "kind": "suspicion",
    "id": 7,
    "source": "central",
    "started_at": "2026-11-24T13:06:30Z",
    "ended_at": "2026-11-24T13:06:45Z",
    "duration_s": 15,
    "reason": "mass_outage",
    "recorded_at": "2026-11-24T13:06:51Z",
    "evidence": {
        "verdict": "answering",
        "canaries": [
            {"canary": 1, "address": None, "beats": 10, "answered": 10},
            {"canary": 2, "address": None, "beats": 10, "answered": 10},
        ],
    },
    "suspicion": {
        "sites": 50,
        "excused": 0,
        "counted": 50,
        "undecided": 0,
        "own_sites": 1,
        "own": [
            {
                "code": "64.02.05.2003-01",
                "started_at": "2026-11-24T13:06:33Z",
                "lost_at": "2026-11-24T13:06:43Z",
                "verdict": "counted",
                "decided_at": "2026-11-24T13:06:43Z",
            }
        ],
    },
}


MEASUREMENT: dict[str, Any] = {
    "slot": "2026-11-24T13:06:37Z",
    "source": "central",
    "outcome": "ok",
    "sent": 3,
    "received": 3,
    "rtt_ms": [22.759, 23.739, 23.157],
    "valid_s": 60,
    "reason": None,
    "our_fault": None,
}


class BlindSource(StrEnum):
    """`central`: our own probes; `silence`: whether pushes reach us."""

    CENTRAL = "central"
    SILENCE = "silence"


class BlindKind(StrEnum):
    """`blind`: we could not look; `suspicion`: the looks of some sites were in doubt."""

    BLIND = "blind"
    SUSPICION = "suspicion"


class BlindReason(StrEnum):
    """`uplink`: no canary answered; `stopped`: nothing ran; `clock`: our clock was stepped; `ingest`: it was not proven
    that pushes could arrive; `mass_outage`: many sites of several providers were lost at once.
    """

    UPLINK = "uplink"
    STOPPED = "stopped"
    CLOCK = "clock"
    INGEST = "ingest"
    MASS_OUTAGE = "mass_outage"


class SuspectVerdict(StrEnum):
    """`excused`: these looks are our fault; `counted`: an outage; `undecided`: until the site's own next look."""

    EXCUSED = "excused"
    COUNTED = "counted"
    UNDECIDED = "undecided"


class CanaryCount(BaseModel):
    canary: int = Field(description="its number in our settings")
    address: str | None = Field(description="shown to accounts of the whole province only")
    beats: int = Field(description="echo requests sent to it")
    answered: int = Field(description="those it answered")


class CanaryEvidenceOut(BaseModel):
    verdict: CanaryVerdict = Field(description="whether we could see")
    canaries: list[CanaryCount] = Field(description="what each of them answered")


class SuspectOut(BaseModel):
    code: str
    started_at: datetime = Field(description="the site's first lost look")
    lost_at: datetime = Field(description="the look that would have confirmed its outage")
    verdict: SuspectVerdict = Field(
        description="`counted`: an outage from its first lost look on; `excused`: these looks are our fault; "
        "`undecided`: until the site's own next look"
    )
    decided_at: datetime | None = Field(description="the look that decided it")


class SuspicionOut(BaseModel):
    """Sites of several providers that were lost within a minute, and what became of each."""

    sites: int = Field(description="all of them, those outside your scope too")
    excused: int = Field(description="those whose looks are our fault")
    counted: int = Field(description="those that count as an outage")
    undecided: int = Field(description="those not looked at again yet")
    own_sites: int = Field(description="those within your scope")
    own: list[SuspectOut] = Field(description="those within your scope by code, at most 100")


class BlindRangeOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    kind: BlindKind = Field(
        description="`blind`: we could not look, every loss in it is our fault; `suspicion`: only its suspects' own "
        "looks were in doubt"
    )
    id: int
    source: BlindSource = Field(description="`central`: our own probes; `silence`: whether pushes reach us")
    started_at: datetime
    ended_at: datetime
    duration_s: int
    reason: BlindReason = Field(
        description="`uplink`: no canary answered; `stopped`: nothing ran; `clock`: our clock was stepped; `ingest`: "
        "it was not proven that pushes could arrive; `mass_outage`: many sites of several providers were lost at once"
    )
    recorded_at: datetime = Field(description="when it was recorded")
    evidence: CanaryEvidenceOut | None = Field(description="what the canaries showed; null where they show nothing")
    suspicion: SuspicionOut | None = Field(description="of kind `suspicion`")


class BlindRangesOut(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-24T00:00:00Z",
                    "to": "2026-11-25T00:00:00Z",
                    "items": [EXAMPLE],
                    "next_cursor": None,
                }
            ]
        }
    )

    from_: datetime = Field(alias="from")
    to: datetime
    items: list[BlindRangeOut]
    next_cursor: str | None = None


class MeasurementOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [MEASUREMENT]})

    slot: datetime = Field(description="the second the reading belongs to")
    source: ReadingSource
    outcome: Outcome = Field(description="fault: our own failure to probe, never the site's")
    sent: int = Field(description="packets sent")
    received: int = Field(description="packets answered")
    rtt_ms: list[float] = Field(description="round-trip time of each answer, in ms")
    valid_s: int = Field(description="seconds for which it shows the state")
    reason: str | None = Field(
        description="why we failed to probe, or how a tcp or http probe failed. Of a device's reading: `claimed`, it "
        "is an older row of a batch that came in time; `late`, nobody heard it then: a timeout counts, an answer "
        "(a `fault`) is a mere claim; `arrival`, it shows only that a push arrived; "
        "`stream`, only that the stream that it holds open was heard; `not sent`, no packet was sent; "
        "`moved`, measured at a former address. Of silence: `not heard, as … were`, with two sites that were heard "
        "around then"
    )
    our_fault: BlindReason | None = Field(
        description="why what it lost is our own fault (`GET /blind-ranges`): a timeout is judged as `fault` then, and "
        "no packet counts as lost; null: nothing was lost, or it counts"
    )


class MeasurementsOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-24T13:00:00Z",
                    "to": "2026-11-24T14:00:00Z",
                    "items": [MEASUREMENT],
                    "next_cursor": None,
                }
            ]
        }
    )

    from_: datetime = Field(alias="from")
    to: datetime
    items: list[MeasurementOut]
    next_cursor: str | None = None
