from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.profiles import Technology
from app.registry.models import SiteKind, State, UnknownReason

EXAMPLE: dict[str, Any] = {
    "id": 512,
    "code": "64.03.06.2006-01",
    "name": "Sambakungan",
    "village_code": "64.03.06.2006",
    "technology": "fiber",
    "provider": "indihome",
    "state": "down",
    "unknown_reason": None,
    "since": "2026-11-24T13:31:24Z",
    "last_seen_at": "2026-11-24T13:30:24Z",
    "evidence": "central",
    "rtt_ms": None,
    "loss_pct": 100.0,
    "maintenance": False,
    "incident_id": None,
    "acknowledged": False,
    "latitude": 2.2131,
    "longitude": 117.4402,
    "kind": "access_point",
}
COUNTS: dict[str, Any] = {
    "sites": 2,
    "states": {"up": 1, "degraded": 0, "down": 1, "unreachable": 0, "unknown": 0},
    "maintenance": 0,
    "acknowledged": 1,
}
VERSION = "1795525651.1088.1038.12.1795525904000"


class SiteStatusOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: int
    code: str
    name: str
    kind: SiteKind
    village_code: str
    technology: Technology
    provider: str
    state: State
    unknown_reason: UnknownReason | None
    since: datetime
    last_seen_at: datetime | None
    evidence: str = Field(description="central: probed by the worker; agent: reported by the site")
    rtt_ms: float | None = Field(description="median of the last reading; null unless the site is up or degraded")
    loss_pct: float | None
    maintenance: bool
    incident_id: int | None
    acknowledged: bool
    latitude: float | None
    longitude: float | None
    lost_from: list[int] = Field(
        [],
        description="numbers of the vantages that lose it now, while others reach it; left out where there are none",
        examples=[[2]],
    )


READ: dict[str, Any] = {"version": VERSION, "generated_at": "2026-11-24T13:31:44Z", "data_age_s": 0.4}


class VersionedStatus(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [READ]})

    version: str = Field(description="opaque; changes with every state change and every refresh of RTT and loss")
    generated_at: datetime
    data_age_s: float | None = Field(description="age of the worker's last heartbeat; null before the first")


class StatusOut(VersionedStatus):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": VERSION,
                    "generated_at": "2026-11-24T13:31:44Z",
                    "data_age_s": 0.4,
                    "sites": [EXAMPLE],
                }
            ]
        }
    )

    sites: list[SiteStatusOut] = Field(description="every active site")


class ChangeOut(VersionedStatus):
    model_config = ConfigDict(json_schema_extra={"examples": [{**READ, "changed": [EXAMPLE], "removed": [498]}]})

    changed: list[SiteStatusOut] = Field(description="sites to replace or add")
    removed: list[int] = Field(description="ids of sites to remove if you have them: gone, moved or no longer matching")


class Counts(BaseModel):
    sites: int
    states: dict[State, int] = Field(description="number of sites by state")
    maintenance: int = Field(description="sites in a maintenance window")
    acknowledged: int = Field(description="sites whose incident somebody deals with")


class RegionCounts(Counts):
    code: str = Field(description="Kemendagri code of the region")
    name: str


class TechnologyCounts(Counts):
    technology: Technology


class ProviderCounts(Counts):
    provider: str


class StatusSummaryOut(VersionedStatus):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": VERSION,
                    "generated_at": "2026-11-24T13:31:44Z",
                    "data_age_s": 0.4,
                    "region": {"code": "64.03", "name": "Berau", **COUNTS},
                    "nodes": COUNTS | {"sites": 0},
                    "children": [{"code": "64.03.06", "name": "Talisayan", **COUNTS}],
                    "technologies": [{"technology": "fiber", **COUNTS}],
                    "providers": [{"provider": "indihome", **COUNTS}],
                }
            ]
        }
    )

    region: RegionCounts = Field(description="all sites of the region")
    nodes: Counts = Field(description="towers, POPs and gateways, which no other count includes")
    children: list[RegionCounts] = Field(description="by the regions below")
    technologies: list[TechnologyCounts] = Field(description="by technology")
    providers: list[ProviderCounts] = Field(description="by provider")
