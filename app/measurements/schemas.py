from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.simulation import Marked
from probes.contract import Outcome

EXAMPLE: dict[str, Any] = {
    "slot": "2026-11-24T13:06:37Z", "source": "central", "outcome": "ok", "sent": 3, "received": 3,
    "rtt_ms": [22.759, 23.739, 23.157], "valid_s": 60, "reason": None,
}  # fmt: skip


class MeasurementOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    slot: datetime = Field(description="the second the reading belongs to")
    source: str
    outcome: Outcome = Field(description="fault: we failed to look; never the site's")
    sent: int
    received: int
    rtt_ms: list[float]
    valid_s: int
    reason: str | None = Field(description="why we failed to look, or how a tcp or http look failed")


class MeasurementsOut(Marked):
    model_config = ConfigDict(json_schema_extra={"examples": [{
        "from": "2026-11-24T13:00:00Z", "to": "2026-11-24T14:00:00Z", "items": [EXAMPLE], "next_cursor": None,
    }]})  # fmt: skip

    from_: datetime = Field(alias="from")
    to: datetime
    items: list[MeasurementOut]
    next_cursor: str | None = None
