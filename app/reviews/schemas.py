"""The quarterly review, its decisions, and the evidence for indicators of digital government."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.schemas import CHILD, SUM, TOTAL, ChildRegionRow, SettledUntil, SumRow
from app.core.moments import WitaMoment
from app.core.words import Words
from app.measurements.simulated_past import MarksSimulatedPast
from app.registry.schemas import Note

DECISION: dict[str, Any] = {
    "id": 3,
    "text": "Pasang UPS di 12 desa dengan listrik terbatas sebelum Maret.",
    "decided_by": "sari",
    "decided_at": "2027-01-14T10:00:00+08:00",
}
FIGURES: dict[str, Any] = {"answers": 214, "benefit_mean": 4.21, "cost_mean": 1.83, "difference": 2.38}
TIMES: dict[str, Any] = {"p50_s": 840, "p90_s": 7200, "max_s": 86400}
USE: dict[str, Any] = {"access_points": 812, "villages": 801, "villages_in_region": 1038, "clients": None}


REGION_FIGURES = {"code": "64.02", "name": "Kabupaten Kutai Kartanegara", **FIGURES}
SATISFACTION: dict[str, Any] = {**FIGURES, "regions": [REGION_FIGURES]}
RESPONSE: dict[str, Any] = {
    "incidents": 120,
    "acknowledged": 96,
    "ended": 118,
    "ended_unacknowledged": 22,
    "to_acknowledge": TIMES,
    "to_end": TIMES,
}
REVIEW: dict[str, Any] = {
    "period": "2026-Q4",
    "from": "2026-10-01T00:00:00+08:00",
    "to": "2027-01-01T00:00:00+08:00",
    "settled_until": "2027-01-01T00:00:00+08:00",
    "region": "64",
    "service": {"months": [SUM], "total": TOTAL, "regions": [CHILD]},
    "use": USE,
    "response": RESPONSE,
    "decisions": [DECISION],
    "satisfaction": SATISFACTION,
    "notes": [],
    "simulated_until": None,
}


class DecisionIn(BaseModel):
    """A decision that the review took."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": DECISION["text"]}]})

    text: Annotated[Note, Field(description="what was decided, by when and who does it; never changed afterwards")]


class DecisionOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [DECISION]})

    id: int = Field(description="the decision's id", examples=[3])
    text: str = Field(description="what was decided", examples=[DECISION["text"]])
    decided_by: str = Field(description="who recorded it", examples=["sari"])
    decided_at: WitaMoment = Field(description="when it was recorded", examples=[DECISION["decided_at"]])


class ServiceFigures(BaseModel):
    """How the service was: seconds summed, verdicts counted."""

    months: list[SumRow] = Field(description="by month, with the verdicts of contracts")
    total: SumRow = Field(description="of the quarter")
    regions: list[ChildRegionRow] = Field(description="of the regions directly below, by code, with null for verdicts")


class UseFigures(BaseModel):
    """Where the service can be used."""

    model_config = ConfigDict(json_schema_extra={"examples": [USE]})

    access_points: int = Field(description="in service at the period's end", examples=[812])
    villages: int = Field(description="with an access point in service at the period's end", examples=[801])
    villages_in_region: int = Field(description="all villages of the region", examples=[1038])
    clients: int | None = Field(description="people who use it; null: nobody counts them", examples=[None])


class Percentiles(BaseModel):
    """Exact, by nearest rank: each is a length that occurred; null where there is none."""

    model_config = ConfigDict(json_schema_extra={"examples": [TIMES]})

    p50_s: int | None = Field(description="half took no longer", examples=[840])
    p90_s: int | None = Field(description="nine of ten took no longer", examples=[7200])
    max_s: int | None = Field(description="the longest", examples=[86400])


class ResponseTimes(BaseModel):
    """Of incidents that began in the period; withdrawn ones are none."""

    incidents: int = Field(description="incidents that began in the period", examples=[120])
    acknowledged: int = Field(description="of these, which an office took on", examples=[96])
    ended: int = Field(description="of these, which are over", examples=[118])
    ended_unacknowledged: int = Field(description="that were over without any office taking them on", examples=[22])
    to_acknowledge: Percentiles = Field(description="from the second loss to an office taking it on; of those it did")
    to_end: Percentiles = Field(description="from the first loss to the next answer; of those that are over")


class SatisfactionFigures(BaseModel):
    """Answers on a scale from 1 to 5; means only of five answers or more."""

    model_config = ConfigDict(json_schema_extra={"examples": [FIGURES]})

    answers: int = Field(description="how many answered", examples=[214])
    benefit_mean: float | None = Field(description="mean of the benefit, two decimals", examples=[4.21])
    cost_mean: float | None = Field(description="mean of cost or trouble, two decimals", examples=[1.83])
    difference: float | None = Field(description="mean benefit less mean cost, from -4 to 4", examples=[2.38])


class RegionSatisfaction(SatisfactionFigures):
    model_config = ConfigDict(json_schema_extra={"examples": [REGION_FIGURES]})

    code: str = Field(description="Kemendagri code of the region", examples=["64.02"])
    name: str = Field(description="the region's name", examples=["Kabupaten Kutai Kartanegara"])


class ReviewSatisfaction(SatisfactionFigures):
    """What villagers answered on the public page."""

    model_config = ConfigDict(json_schema_extra={"examples": [SATISFACTION]})

    regions: list[RegionSatisfaction] = Field(description="by the regions below that have answers")


class ReviewOut(MarksSimulatedPast):
    """A quarter in one answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [REVIEW]})

    period: str = Field(description="the quarter", examples=["2026-Q4"])
    from_: WitaMoment = Field(alias="from", description="its first second", examples=["2026-10-01T00:00:00+08:00"])
    to: WitaMoment = Field(description="its end, or now", examples=["2027-01-01T00:00:00+08:00"])
    settled_until: SettledUntil
    region: str = Field(description="Kemendagri code of what it is about", examples=["64"])
    service: ServiceFigures = Field(description="how the service was")
    use: UseFigures = Field(description="where it can be used")
    response: ResponseTimes = Field(description="how fast offices answered, and outages ended")
    decisions: list[DecisionOut] = Field(description="what was decided, the oldest first; empty for providers")
    satisfaction: ReviewSatisfaction | None = Field(description="what villagers answered; null for providers")
    notes: list[Words] = Field(description="how these figures are to be read")


class EvidenceStatus(StrEnum):
    """`ready`: the calls and pages prove it; `to_fill`: the indicator's number or wording is still to be filled in."""

    READY = "ready"
    TO_FILL = "to_fill"


class Proof(BaseModel):
    """What proves it, and where it is found."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "proves": {"id": "tinjauan triwulanan bertanggal", "en": "a dated quarterly review"},
                    "call": "GET /api/v1/reviews",
                    "page": "/console/reviews",
                }
            ]
        },
    )

    proves: Words = Field(description="what it proves")
    call: str | None = Field(None, max_length=200, description="a call of this API", examples=["GET /api/v1/reviews"])
    page: str | None = Field(None, max_length=200, description="a page of this service", examples=["/data-terbuka"])


class Indicator(BaseModel):
    """An indicator with its evidence."""

    model_config = ConfigDict(extra="forbid")

    number: str | None = Field(
        None, max_length=20, description="its number in the index; null: to be filled in", examples=[None]
    )
    aspect: str | None = Field(None, max_length=200, description="the aspect it belongs to", examples=["9"])
    name: Words = Field(description="what it asks")
    status: EvidenceStatus = Field(description="whether the evidence is complete", examples=["ready"])
    source: str | None = Field(
        None, max_length=300, description="where its wording was read", examples=["pemdi.baritotimurkab.go.id"]
    )
    evidence: list[Proof] = Field(description="what proves it", max_length=20)


class Index(BaseModel):
    """An index of digital government with its indicators."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=20, description="short name of the index", examples=["pemdi"])
    name: Words = Field(description="name of the index")
    basis: str = Field(max_length=300, description="what it rests on", examples=["Perpres 12/2025"])
    levels: list[Words] = Field([], description="its levels of maturity, from the first", max_length=10)
    indicators: list[Indicator] = Field(description="those that this service gives evidence for", max_length=100)


class EvidenceOut(BaseModel):
    """Indexes, their indicators, and what of this service proves them."""

    model_config = ConfigDict(extra="forbid")

    indexes: list[Index] = Field(description="as they stand in config/pemdi.toml", max_length=20)
