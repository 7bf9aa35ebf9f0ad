from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.diagnoses.models import DiagnosisKind, DiagnosisStatus

EXAMPLE: dict[str, Any] = {"kind": "ping", "count": 5}


class DiagnosisIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    kind: DiagnosisKind
    count: Annotated[int, Field(ge=1, le=20, description="packets of a ping, or packets per hop of a traceroute")] = 3


class TargetOut(BaseModel):
    """The first line: the address that the host name resolved to."""

    kind: Literal["target"]
    host: str
    address: str


class PacketOut(BaseModel):
    """`rtt_ms` null: lost, or stopped by the router `source` for the reason in `problem`."""

    kind: Literal["packet"]
    number: int
    rtt_ms: float | None
    source: str | None
    problem: str | None


class PingSummaryOut(BaseModel):
    """A ping's last line."""

    kind: Literal["summary"]
    sent: int
    received: int
    loss_pct: float | None
    rtt_min_ms: float | None
    rtt_avg_ms: float | None
    rtt_max_ms: float | None


class HopOut(BaseModel):
    kind: Literal["hop"]
    number: int
    addresses: Annotated[list[str], Field(description="empty: no answer; several: the route branches here")]
    sent: int
    rtt_ms: list[float]
    problem: str | None


class RouteOut(BaseModel):
    """A traceroute's last line."""

    kind: Literal["route"]
    hops: int
    reached: bool


class LineOut(BaseModel):
    number: int
    at: datetime
    found: Annotated[TargetOut | PacketOut | PingSummaryOut | HopOut | RouteOut, Field(discriminator="kind")]


class DiagnosisOut(BaseModel):
    id: int
    site_id: int
    kind: DiagnosisKind
    count: int
    requested_by: str
    requested_at: datetime
    status: DiagnosisStatus
    notice: Annotated[str | None, Field(description="while it waits: why it may not start")]
    problem: Annotated[str | None, Field(description="why it failed")]
    started_at: datetime | None
    ended_at: datetime | None


class DiagnosisWithLines(DiagnosisOut):
    lines: Annotated[list[LineOut], Field(description="results so far, in order")]
