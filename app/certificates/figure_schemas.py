"""The figures of a certificate: of each hour and of all 24, and the speed tests."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.schemas import Seconds
from app.certificates.verdicts import CertificateResult
from app.core.moments import WitaMoment
from app.core.words import Words
from app.throughput.models import Mode, SpeedtestStatus

SECONDS: dict[str, int] = {
    "up": 3_420,
    "degraded": 0,
    "down": 180,
    "unreachable": 0,
    "unknown": 0,
    "maintenance": 0,
    "inactive": 0,
    "claimed": 0,
}
FIGURES: dict[str, Any] = {
    "from": "2026-11-24T21:00:00+08:00",
    "to": "2026-11-24T22:00:00+08:00",
    "seconds": SECONDS,
    "uptime_pct": 95.0,
    "coverage_pct": 100.0,
    "worst_pct": 95.0,
    "best_pct": 95.0,
    "looks": 60,
    "within": 55,
    "lost": 3,
    "left_out": 0,
    "within_pct": 91.666,
    "samples": 170,
    "loss_pct": 5.555,
    "p50_ms": 23.157,
    "p95_ms": 101.681,
    "max_ms": 140.739,
}
ALL_SECONDS = {**SECONDS, "up": 85_200, "down": 1_200}
TOTAL: dict[str, Any] = {
    **FIGURES,
    "from": "2026-11-24T06:00:00+08:00",
    "to": "2026-11-25T06:00:00+08:00",
    "seconds": ALL_SECONDS,
    "uptime_pct": 98.611,
    "worst_pct": 98.611,
    "best_pct": 98.611,
    "looks": 1_440,
    "within": 1_402,
    "lost": 20,
    "within_pct": 97.361,
    "samples": 4_262,
    "loss_pct": 1.342,
    "outages": 2,
    "longest_outage_s": 1_020,
}
TEST: dict[str, Any] = {
    "planned_at": "2026-11-24T21:12:30+08:00",
    "started_at": "2026-11-24T21:12:34+08:00",
    "mode": "push",
    "status": "done",
    "reason": None,
    "for_certificate": True,
    "down_mbps": 18.412,
    "up_mbps": 9.077,
    "contract_down_mbps": 20.0,
    "contract_up_mbps": 10.0,
}
SHARE: dict[str, Any] = {"counted": 22, "passed": 20, "contested": 1, "pct": 90.909}
PART: dict[str, Any] = {
    "result": "meets",
    "reason": {
        "id": "Memenuhi: 97,361% dari 1440 pengukuran dalam 100 ms; yang disyaratkan 95%; 20 hilang.",
        "en": "Meets it: 97.361% of 1440 looks within 100 ms, 95% have to be; 20 were lost.",
    },
}
SPEED: dict[str, Any] = {**PART, "contract_mbps": 20.0, "share": SHARE}


class LineFigures(BaseModel):
    """What was measured of the line from one moment to another."""

    model_config = ConfigDict(json_schema_extra={"examples": [FIGURES]})

    from_: WitaMoment = Field(alias="from", description="its first second", examples=[FIGURES["from"]])
    to: WitaMoment = Field(description="end, exclusive", examples=[FIGURES["to"]])
    seconds: Seconds = Field(description="seconds by state: they add up to the time exactly", examples=[SECONDS])
    uptime_pct: float | None = Field(description="good/(good+bad), rounded down", examples=[95.0])
    coverage_pct: float | None = Field(description="share of the time that is known", examples=[100.0])
    worst_pct: float | None = Field(description="uptime, if all that is unknown had been bad", examples=[95.0])
    best_pct: float | None = Field(description="uptime, if all that is unknown had been good", examples=[95.0])
    looks: int = Field(description="looks that count, one a minute at most", examples=[60])
    within: int = Field(description="of these within the technology's limit", examples=[55])
    lost: int = Field(description="of these lost: they count as beyond it", examples=[3])
    left_out: int = Field(
        description="looks of hours that are left out: maintenance, excluded causes, outside service hours",
        examples=[0],
    )
    within_pct: float | None = Field(description="share of looks within the limit, rounded down", examples=[91.666])
    samples: int = Field(description="answered packets", examples=[170])
    loss_pct: float | None = Field(description="share of packets that were lost", examples=[5.555])
    p50_ms: float | None = Field(description="median round-trip time, in ms; lost packets have none", examples=[23.157])
    p95_ms: float | None = Field(description="95th percentile, in ms", examples=[101.681])
    max_ms: float | None = Field(description="longest, in ms", examples=[140.739])


class LineTotal(LineFigures):
    """The same of all 24 hours, and the outages."""

    model_config = ConfigDict(json_schema_extra={"examples": [TOTAL]})

    outages: int = Field(description="outages that were down in this time", examples=[2])
    longest_outage_s: int = Field(description="seconds down of the longest, within this time", examples=[1_020])


class CertificateTest(BaseModel):
    """A speed test, also one that was not made or gave no result."""

    model_config = ConfigDict(json_schema_extra={"examples": [TEST]})

    planned_at: WitaMoment = Field(description="when it was due", examples=[TEST["planned_at"]])
    started_at: WitaMoment | None = Field(description="when it began", examples=[TEST["started_at"]])
    mode: Mode = Field(description="who measured", examples=["push"])
    status: SpeedtestStatus = Field(description="what became of it", examples=["done"])
    reason: str | None = Field(description="why it gave no result", examples=["over_budget"])
    for_certificate: bool = Field(description="made for this certificate, beside the month's plan")
    down_mbps: float | None = Field(description="download rate, in Mbps; null without a result", examples=[18.412])
    up_mbps: float | None = Field(description="upload rate, in Mbps; null without a result", examples=[9.077])
    contract_down_mbps: float | None = Field(description="what the contract promised that day", examples=[20.0])
    contract_up_mbps: float | None = Field(description="the same, upload", examples=[10.0])


class CertifiedPart(BaseModel):
    """What is proven of one part."""

    model_config = ConfigDict(json_schema_extra={"examples": [PART]})

    result: CertificateResult = Field(description="what came of it", examples=["meets"])
    reason: Words = Field(description="by which figures", examples=[PART["reason"]])


class SpeedShare(BaseModel):
    """How many speed tests reached what the method asks of the contract's speed."""

    model_config = ConfigDict(json_schema_extra={"examples": [SHARE]})

    counted: int = Field(description="tests with a result", examples=[22])
    passed: int = Field(description="of these fast enough", examples=[20])
    contested: int = Field(description="tests that ran without a result: in nobody's favour", examples=[1])
    pct: float | None = Field(description="share that passed, rounded down", examples=[90.909])


class CertifiedSpeed(CertifiedPart):
    """What is proven of the speed in one direction."""

    model_config = ConfigDict(json_schema_extra={"examples": [SPEED]})

    contract_mbps: float | None = Field(description="the contract's speed; null: it names none", examples=[20.0])
    share: SpeedShare = Field(description="the tests", examples=[SHARE])
