from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.periods import Step
from app.registry.models import State, UnknownReason


class Seconds(BaseModel):
    """Together exactly the period."""

    up: int
    degraded: int
    down: int
    unreachable: int
    unknown: int = Field(description="nobody looked, or could not: never inferred either way")
    maintenance: int
    inactive: int = Field(description="before activation, planned, suspended, retired")


class UptimeRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    start: datetime
    end: datetime
    seconds: Seconds
    uptime_pct: float | None = Field(description="good/(good+bad), rounded down; null when nothing was seen")
    coverage_pct: float | None = Field(description="how much of the period was seen")
    worst_pct: float | None = Field(description="if all that was not seen had been bad")
    best_pct: float | None = Field(description="if all that was not seen had been good")
    outages: int
    longest_outage_s: int
    down_by_cause: dict[str, int]
    countable_down_s: int | None = Field(description="what a contract counts; null without a contract")
    sla_target_pct: float | None
    sla_verdict: str | None


class UptimeOut(BaseModel):
    from_: datetime = Field(alias="from")
    to: datetime
    step: Step
    series: list[UptimeRow]
    total: UptimeRow


class SegmentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    started_at: datetime
    ended_at: datetime
    duration_s: int
    state: State
    unknown_reason: UnknownReason | None
    last_ok_at: datetime | None = Field(description="the last answer before it began")
    first_ok_after: datetime | None = Field(description="the answer that ended it; null while it lasts")


class SegmentsOut(BaseModel):
    from_: datetime = Field(alias="from")
    to: datetime
    items: list[SegmentOut]
    next_cursor: str | None = None
