from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.profiles import Technology
from app.registry.models import State, UnknownReason

EXAMPLE: dict[str, Any] = {
    "id": 512, "code": "64.03.06.2006-01", "name": "Sambakungan", "village_code": "64.03.06.2006",
    "technology": "fiber", "provider": "indihome", "state": "down", "unknown_reason": None,
    "since": "2026-11-24T13:31:24Z", "last_seen_at": "2026-11-24T13:30:24Z", "evidence": "central", "rtt_ms": None,
    "loss_pct": 100.0, "maintenance": False, "incident_id": None, "acknowledged": False,
    "latitude": 2.2131, "longitude": 117.4402,
}  # fmt: skip


class SiteStatusOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

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
    model_config = ConfigDict(json_schema_extra={"examples": [{
        "version": "1088.1038.1795525651000", "generated_at": "2026-11-24T13:31:44Z", "data_age_s": 0.4,
        "sites": [EXAMPLE],
    }]})  # fmt: skip

    version: str = Field(description="opaque; it moves when a state changed or fresher figures are due")
    generated_at: datetime
    data_age_s: float | None = Field(description="how old the worker's last sign of life is; null if it never gave one")
    sites: list[SiteStatusOut]
