from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.measurements.simulated_past import MarksSimulatedPast
from probes.contract import Outcome

EXAMPLE: dict[str, Any] = {
    "slot": "2026-11-24T13:06:37Z",
    "source": "central",
    "outcome": "ok",
    "sent": 3,
    "received": 3,
    "rtt_ms": [22.759, 23.739, 23.157],
    "valid_s": 60,
    "reason": None,
}


class ReadingSource(StrEnum):
    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"


Evidence = Annotated[
    ReadingSource | None,
    Field(
        description="source of the reading that it began with: `central`, our own probe; `agent`, the site's device; "
        "`silence`, a push that was due and missing while other sites' pushes arrived. null: none, or no longer stored"
    ),
]


class MeasurementOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    slot: datetime = Field(description="the second the reading belongs to")
    source: ReadingSource
    outcome: Outcome = Field(description="fault: our own failure to probe, never the site's")
    sent: int
    received: int
    rtt_ms: list[float]
    valid_s: int
    reason: str | None = Field(
        description="why we failed to probe, or how a tcp or http probe failed. Of a device's reading: `claimed`, it "
        "arrived later than it was measured; `arrival`, it shows only that a push arrived; `not sent`, no packet "
        "was sent; `moved`, measured at a former address. Of silence: `not heard, as … were`, with two sites that were "
        "heard around then; `heard later`, the device's own readings arrived afterwards"
    )


class MeasurementsOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-24T13:00:00Z",
                    "to": "2026-11-24T14:00:00Z",
                    "items": [EXAMPLE],
                    "next_cursor": None,
                }
            ]
        }
    )

    from_: datetime = Field(alias="from")
    to: datetime
    items: list[MeasurementOut]
    next_cursor: str | None = None
