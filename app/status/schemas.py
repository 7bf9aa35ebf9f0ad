from datetime import datetime

from pydantic import BaseModel, Field

from app.profiles import Technology
from app.registry.models import State, UnknownReason


class SiteStatusOut(BaseModel):
    id: int
    code: str
    name: str
    village_code: str
    technology: Technology
    provider: str
    state: State
    unknown_reason: UnknownReason | None
    since: datetime
    last_seen_at: datetime | None
    evidence: str = Field(description="central (probed by us) or agent (reported by the site)")
    rtt_ms: float | None = Field(description="median of the last reading; null unless the site answers")
    loss_pct: float | None
    maintenance: bool
    incident_id: int | None
    acknowledged: bool
    latitude: float | None
    longitude: float | None


class StatusOut(BaseModel):
    version: str = Field(description="opaque; it moves when a state changed or fresher figures are due")
    generated_at: datetime
    data_age_s: float | None = Field(description="how old the worker's last sign of life is; null if it never gave one")
    sites: list[SiteStatusOut]
