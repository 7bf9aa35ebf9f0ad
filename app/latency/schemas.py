from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.core.periods import Step
from app.measurements.simulated_past import MarksSimulatedPast

ROW: dict[str, Any] = {
    "start": "2026-11-24T21:00:00+08:00",
    "end": "2026-11-24T21:07:31+08:00",
    "samples": 21,
    "loss_pct": 4.545,
    "min_ms": 22.759,
    "mean_ms": 23.218,
    "p50_ms": 23.157,
    "p95_ms": 23.681,
    "p99_ms": 23.727,
    "max_ms": 23.739,
    "jitter_ms": 0.781,
}
EXAMPLE: dict[str, Any] = {
    "from": "2026-11-24T21:00:00+08:00",
    "to": "2026-11-24T21:07:31+08:00",
    "step": "hour",
    "series": [ROW],
    "total": ROW,
}


class LatencyRow(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ROW]})

    start: WitaMoment
    end: WitaMoment
    samples: int = Field(description="answered packets")
    loss_pct: float | None = Field(
        description="share of packets sent that were lost, without those lost by our own fault (`GET /blind-ranges`); "
        "null when none were sent"
    )
    min_ms: float | None = Field(description="shortest round-trip time, in ms")
    mean_ms: float | None = Field(description="mean, in ms")
    p50_ms: float | None = Field(description="percentiles are within 2% of the exact ones")
    p95_ms: float | None = Field(description="95th percentile, in ms")
    p99_ms: float | None = Field(description="99th percentile, in ms")
    max_ms: float | None = Field(description="longest, in ms")
    jitter_ms: float | None = Field(description="mean absolute difference between consecutive packets")


class LatencyOut(MarksSimulatedPast):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    step: Step
    series: list[LatencyRow]
    total: LatencyRow


class SiteLatencyOut(LatencyOut):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | {"vantage": 0}]})

    vantage: int = Field(
        description="number of the vantage whose readings these are: the site's primary at the end, or "
        "the one asked for. Readings of a time with another primary are that one's",
        examples=[0],
    )


class GroupLatencyOut(LatencyOut):
    """Over the packets of all sites together, whatever their technology: filter by one to compare like with like.

    Of each site as its primary vantage sees it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-24T21:00:00+08:00",
                    "to": "2026-11-24T21:07:31+08:00",
                    "step": "hour",
                    "series": [ROW],
                    "total": ROW,
                    "sites": 1,
                }
            ]
        }
    )

    sites: int = Field(description="access points whose packets these are, also where all were lost")
