"""What `GET /incidents/{id}/cause-effects` answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import CONTRACT, ContractReference
from app.core.moments import WitaMoment
from app.registry.models import Cause, LinkRole

FIGURES: dict[str, Any] = {
    "counted_down_s": 8_910,
    "availability_pct": 98.92,
    "worst_pct": 98.71,
    "best_pct": 98.922,
    "verdict": "missed",
}
AFTER = FIGURES | {"counted_down_s": 0, "availability_pct": 99.493, "worst_pct": 99.282, "best_pct": 99.494}
SITE: dict[str, Any] = {"id": 512, "code": "64.02.05.2003-01", "name": "Kantor Desa Muara Badak Ulu"}
EFFECT: dict[str, Any] = {
    "site": SITE,
    "month": "2026-10",
    "closed_at": "2026-11-09T00:05:00+08:00",
    "contract": CONTRACT,
    "link_role": "primary",
    "target_pct": 99.0,
    "before": FIGURES,
    "after": AFTER | {"verdict": "met"},
}


class EffectSite(BaseModel):
    """Which site."""

    model_config = ConfigDict(json_schema_extra={"examples": [SITE]})

    id: int
    code: str
    name: str


class MonthFigures(BaseModel):
    """What a contract counts of a site in a month, up to now."""

    model_config = ConfigDict(json_schema_extra={"examples": [FIGURES]})

    counted_down_s: int = Field(description="seconds that count as down", examples=[8_910])
    availability_pct: float | None = Field(description="share of what is known that was not down", examples=[98.92])
    worst_pct: float | None = Field(description="if all that is unknown was down", examples=[98.71])
    best_pct: float | None = Field(description="if all that is unknown was good", examples=[98.922])
    verdict: str | None = Field(description="`met`, `missed` or `undetermined`", examples=["missed"])


class CauseEffect(BaseModel):
    """A month of a site under a contract, as it is and as it would be."""

    model_config = ConfigDict(json_schema_extra={"examples": [EFFECT]})

    site: EffectSite = Field(description="which site", examples=[SITE])
    month: str = Field(description="which month, in WITA", examples=["2026-10"])
    closed_at: WitaMoment | None = Field(
        description="when it was closed: it keeps its figures, and a correction stands beside them; null: still open",
        examples=[EFFECT["closed_at"]],
    )
    contract: ContractReference = Field(description="the contract that counts it", examples=[CONTRACT])
    link_role: LinkRole
    target_pct: float | None = Field(description="what its terms ask for; null where they changed", examples=[99.0])
    before: MonthFigures = Field(description="as it is counted now", examples=[FIGURES])
    after: MonthFigures = Field(description="as it would be counted with the cause", examples=[AFTER])


class CauseEffects(BaseModel):
    """What a cause would change; nothing where no contract tells it from the present one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"cause": "power", "items": [EFFECT], "sites_omitted": 0}]}
    )

    cause: Cause = Field(description="the cause that was asked for")
    items: list[CauseEffect] = Field(description="months whose figures would change: of the last three that it touches")
    sites_omitted: int = Field(description="sites beyond the first 50, which were not counted", examples=[0])
