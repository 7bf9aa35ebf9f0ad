from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.schemas import PERIOD, SettledUntil
from app.availability.verdict_counts import COUNTS, VerdictCounts
from app.core.moments import WitaMoment
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology

ONE_MISSED = {**dict.fromkeys(COUNTS, 0), "missed": 1}
RANKED: dict[str, Any] = {
    "rank": 1,
    "id": 7,
    "code": "64.02.05.2003-01",
    "name": "Muara Kaman Ulu",
    "technology": "fiber",
    "sites": 1,
    "uptime_pct": 99.412,
    "coverage_pct": 99.9,
    "worst_pct": 99.313,
    "best_pct": 99.413,
    "outages": 3,
    "longest_outage_s": 9120,
    "down_s": 15220,
    "unreachable_s": 0,
    "verdicts": ONE_MISSED,
}
UNRANKED: dict[str, Any] = {
    **RANKED,
    "coverage_pct": 41.2,
    "worst_pct": 40.957,
    "best_pct": 99.757,
    "reason": "low_coverage",
}
del UNRANKED["rank"]


class By(StrEnum):
    """`site`, `region` or `provider`."""

    SITE = "site"
    REGION = "region"
    PROVIDER = "provider"


class RankingOrder(StrEnum):
    """`best`: the best first; `worst`: the worst first."""

    BEST = "best"
    WORST = "worst"


class Reason(StrEnum):
    """`no_evidence`: nothing was measured; `low_coverage`: less than `min_coverage_pct`."""

    NO_EVIDENCE = "no_evidence"
    LOW_COVERAGE = "low_coverage"


class RankingEntry(BaseModel):
    id: int | None = Field(description="the site's or provider's; null for a region")
    code: str = Field(description="the site's or the region's code, the provider's slug")
    name: str
    technology: Technology
    sites: int = Field(description="access points that were in service at some time in the period")
    uptime_pct: float | None
    coverage_pct: float | None
    worst_pct: float | None
    best_pct: float | None
    outages: int
    longest_outage_s: int
    down_s: int
    unreachable_s: int = Field(description="seconds that its parent was down: uptime counts them as it does down_s")
    verdicts: VerdictCounts = Field(description="how many of its sites met their contracts, as in /sla")


class RankedOut(RankingEntry):
    model_config = ConfigDict(json_schema_extra={"examples": [RANKED]})

    rank: int = Field(description="within its technology; 1 is the best, equals share a rank")


class UnrankedOut(RankingEntry):
    model_config = ConfigDict(json_schema_extra={"examples": [UNRANKED]})

    reason: Reason = Field(description="why too little was measured to rank it")


class RankingOut(MarksSimulatedPast):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **PERIOD,
                    "items": [RANKED],
                    "next_cursor": None,
                    "unranked": [UNRANKED],
                }
            ]
        }
    )

    from_: WitaMoment = Field(alias="from")
    to: WitaMoment
    settled_until: SettledUntil
    items: list[RankedOut]
    next_cursor: str | None = None
    unranked: list[UnrankedOut] = Field(description="all of them, on the first page")
