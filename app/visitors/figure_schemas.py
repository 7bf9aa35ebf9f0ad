from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.core.periods import Step

FIGURES: dict[str, Any] = {
    "results": 40,
    "flawed": 1,
    "late": 3,
    "visitors": 6,
    "lost": 2,
    "rtt_p50_ms": 41.5,
    "rtt_p95_ms": 88.0,
    "down_tests": 4,
    "down_mbps": 11.8,
    "up_tests": 3,
    "up_mbps": 4.1,
}
ROW: dict[str, Any] = {
    "start": "2026-11-24T00:00:00+08:00",
    "end": "2026-11-25T00:00:00+08:00",
    "same": FIGURES,
    "other": None,
    "unknown": None,
}
MEDIAN = "median over visitors of each one's own"


class VisitorFigures(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [FIGURES]})

    results: int = Field(description="results received")
    flawed: int = Field(description="of them, those that this service's own timing refutes: in no figure")
    late: int = Field(description="of them, those that were older than a minute on arrival: they prove nothing")
    visitors: int = Field(description="browsers that measured; one counts anew each month")
    lost: int = Field(description="round trips without an answer")
    rtt_p50_ms: float | None = Field(description=f"round trip over HTTPS: {MEDIAN} median, in ms")
    rtt_p95_ms: float | None = Field(description=f"{MEDIAN} 95th percentile, in ms")
    down_tests: int = Field(description="downloads")
    down_mbps: float | None = Field(description=f"download: {MEDIAN} median, in Mbps")
    up_tests: int = Field(description="uploads")
    up_mbps: float | None = Field(description=f"upload: {MEDIAN} median, in Mbps")


class VisitorsRow(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ROW]})

    start: WitaMoment
    end: WitaMoment
    same: VisitorFigures | None = Field(description="from a network of the site's own; null: none")
    other: VisitorFigures | None = Field(description="from elsewhere; null: none")
    unknown: VisitorFigures | None = Field(description="where no network of the site is known; null: none")


class VisitorsOut(BaseModel):
    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [{"from": ROW["start"], "to": ROW["end"], "step": "day", "series": [ROW], "total": ROW}]
        },
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    step: Step
    series: list[VisitorsRow] = Field(description="hours, days or months in which there was a result")
    total: VisitorsRow | None = Field(description="of the whole period; null where its results are deleted")
