from datetime import datetime

from pydantic import BaseModel, Field

from app.periods import Step


class LatencyRow(BaseModel):
    start: datetime
    end: datetime
    samples: int = Field(description="packets that were answered")
    loss_pct: float | None = Field(description="of the packets sent; null when none were")
    min_ms: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    jitter_ms: float | None = Field(description="mean absolute difference of neighbouring packets")


class LatencyOut(BaseModel):
    from_: datetime = Field(alias="from")
    to: datetime
    step: Step
    series: list[LatencyRow]
    total: LatencyRow
