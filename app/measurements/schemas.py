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
        description="whose reading it began with: `central`, our own look; `agent`, the site's device; `silence`, a "
        "push that was due did not come while those of other sites did. null: nobody's, or it is not kept any more"
    ),
]


class MeasurementOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    slot: datetime = Field(description="the second the reading belongs to")
    source: ReadingSource
    outcome: Outcome = Field(description="fault: we failed to look; never the site's")
    sent: int
    received: int
    rtt_ms: list[float]
    valid_s: int
    reason: str | None = Field(
        description="why we failed to look, or how a tcp or http look failed. Of what a device measured: `claimed`, it "
        "came later than it was measured; `arrival`, nothing but that something came; `not sent`, nothing was tried; "
        "`moved`, measured where the site is no more. Of silence: `not heard, as … were`, with two sites that were "
        "heard about then; `heard later`, what the device had measured came after all"
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
