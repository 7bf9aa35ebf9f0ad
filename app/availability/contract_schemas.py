"""What is said of a site under a contract: the seconds that count, why the others do not, and what follows."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.core.words import Words
from app.registry.models import LinkRole


class SlaVerdict(StrEnum):
    """`met`; `missed`; `undetermined`: unmeasured time would decide it."""

    MET = "met"
    MISSED = "missed"
    UNDETERMINED = "undetermined"


CONTRACT: dict[str, Any] = {"id": 7, "number": "027/1123/DISKOMINFO/2026", "provider": "telkom-wms"}
COVERED: dict[str, Any] = {"from": "2026-10-20T00:00:00+08:00", "to": "2026-11-01T00:00:00+08:00", "seconds": 1_036_800}
COUNTED: dict[str, Any] = {
    "service_s": 1_036_800,
    "good_s": 1_017_460,
    "counted_down_s": 9_120,
    "excluded": {"maintenance": 3_600, "power": 5_400, "short": 620},
    "unknown_s": 600,
    "claimed_s": 0,
    "availability_pct": 99.119,
    "worst_pct": 99.062,
    "best_pct": 99.12,
    "target_pct": 99.0,
    "required_pct": 99.0,
    "missed_by_s": 0,
    "verdict": "met",
}
VERDICT: dict[str, Any] = {
    "contract": CONTRACT,
    "link_role": "primary",
    "covered": COVERED,
    "whole_period": False,
    **COUNTED,
    "reason": {
        "id": "Tercapai: ketersediaan sekurang-kurangnya 99,062%, sekalipun 10 menit yang tidak diketahui seluruhnya "
        "putus; yang disyaratkan 99%. Dihitung putus: 2 jam 32 menit. Tidak dihitung: listrik padam 1 jam 30 menit, "
        "pemeliharaan 1 jam, lebih pendek dari batas kontrak 10 menit 20 detik. Mencakup 12 hari dari 31 hari.",
        "en": "Met: at least 99.062% available, even if all of the unknown 10 min was down; 99% is required. "
        "Counted as down: 2 h 32 min. Left out: power 1 h 30 min, maintenance 1 h, shorter than the contract counts "
        "10 min 20 s. It covers 12 days of 31 days.",
    },
    "stretches": [],
}
STRETCH: dict[str, Any] = {
    "from": "2026-10-20T00:00:00+08:00",
    "to": "2026-11-01T00:00:00+08:00",
    "terms_on": "2026-10-20",
    "covered_s": 1_036_800,
    **COUNTED,
}

Percentage = Annotated[float | None, Field(ge=0, le=100, examples=[99.119])]


class ContractReference(BaseModel):
    """Which contract."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTRACT]})

    id: int = Field(description="the contract's id, as in /contracts/{id}", examples=[7])
    number: str = Field(description="the contract's number", examples=["027/1123/DISKOMINFO/2026"])
    provider: str = Field(description="slug of the provider whose contract it is", examples=["telkom-wms"])


class CoveredTime(BaseModel):
    """The part of the period in which the site was under the contract."""

    model_config = ConfigDict(json_schema_extra={"examples": [COVERED]})

    from_: WitaMoment = Field(alias="from", description="first covered second", examples=[COVERED["from"]])
    to: WitaMoment = Field(description="end of the last covered second", examples=[COVERED["to"]])
    seconds: int = Field(
        description="covered seconds; fewer than from `from` to `to` if the site left and came back", examples=[86_400]
    )


class ContractFigures(BaseModel):
    """What a contract counts: good, counted down, excluded and unknown seconds add up to those of service, exactly."""

    service_s: int = Field(
        description="seconds in service, within service hours: what the percentages are of. The rest of the covered "
        "seconds is out of service or outside service hours",
        examples=[1_036_800],
    )
    good_s: int = Field(description="seconds up or, unless the terms count it as down, degraded", examples=[1_017_460])
    counted_down_s: int = Field(description="seconds down that the terms count", examples=[9_120])
    excluded: dict[str, int] = Field(
        description="seconds that count as available though the site was not, by reason: `maintenance`; a cause that "
        "the terms exclude; `parent`, where they excuse it; `short`, of outages proven shorter than `min_outage_s`",
        examples=[{"maintenance": 3_600, "power": 5_400, "short": 620}],
    )
    unknown_s: int = Field(
        description="seconds that were not measured, or are contested by the site's device: in nobody's favour",
        examples=[600],
    )
    claimed_s: int = Field(
        description="seconds among good and unknown ones that rest on claims alone (docs/push.md)", examples=[0]
    )
    availability_pct: Percentage = Field(
        description="percent: (service - counted down - unknown) / (service - unknown), rounded down; null of nothing"
    )
    worst_pct: Percentage = Field(description="percent, if all that is unknown had been down")
    best_pct: Percentage = Field(description="percent, if all that is unknown had been good")
    target_pct: Percentage = Field(description="percent that the terms require; null if it changed: see stretches")
    required_pct: Percentage = Field(
        None,
        description="percent required of all service seconds: the target; where it changed, what each stretch needs, "
        "added up; null without service, and in months that were closed without it",
    )
    missed_by_s: int | None = Field(
        None,
        description="seconds that were counted down beyond what the target allows; 0 unless `missed`; null in months "
        "that were closed without it",
        examples=[0],
    )
    verdict: SlaVerdict | None = Field(
        description="`met` if worst_pct reaches the target, `missed` if not even best_pct does, else `undetermined`; "
        "null without a second of service",
        examples=["met"],
    )


class ContractStretch(ContractFigures):
    """What was counted under one set of the contract's terms."""

    model_config = ConfigDict(json_schema_extra={"examples": [STRETCH]})

    from_: WitaMoment = Field(alias="from", description="first second under these terms", examples=[STRETCH["from"]])
    to: WitaMoment = Field(description="end of the last second under these terms", examples=[STRETCH["to"]])
    terms_on: date = Field(description="day (WITA) on which these terms began", examples=["2026-10-20"])
    covered_s: int = Field(description="covered seconds under these terms", examples=[1_036_800])


class CoveredSite(BaseModel):
    """Under which contract, in which role, and for how much of the period."""

    contract: ContractReference = Field(description="the contract that is meant", examples=[CONTRACT])
    link_role: LinkRole = Field(description="the link that the contract is for", examples=["primary"])
    covered: CoveredTime = Field(description="when the site was under it within the period", examples=[COVERED])
    whole_period: bool = Field(description="whether that is all of the period", examples=[False])


class ContractVerdict(ContractFigures, CoveredSite):
    """What a contract counts of a site in the period, and whether its target was met: of the covered seconds alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [VERDICT]})

    reason: Words = Field(
        description="verdict, what counted, what was left out and what is covered, in words",
        examples=[VERDICT["reason"]],
    )
    stretches: list[ContractStretch] = Field(
        description="by terms, where they changed within the period; each needs its own target. Else empty",
        examples=[[]],
    )
