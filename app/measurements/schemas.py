from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from probes.contract import Outcome


class MeasurementOut(BaseModel):
    slot: datetime = Field(description="the second the reading belongs to")
    source: str
    outcome: Outcome = Field(description="fault: we failed to look; never the site's")
    sent: int
    received: int
    rtt_ms: list[float]
    valid_s: int
    reason: str | None

    model_config = ConfigDict(from_attributes=True)


class MeasurementsOut(BaseModel):
    from_: datetime = Field(alias="from")
    to: datetime
    items: list[MeasurementOut]
    next_cursor: str | None = None
