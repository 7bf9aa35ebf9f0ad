from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.diagnoses.models import DiagnosisKind, DiagnosisStatus

EXAMPLE: dict[str, Any] = {"kind": "ping", "count": 5}


class DiagnosisIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    kind: DiagnosisKind
    count: Annotated[int, Field(ge=1, le=20, description="packets of a ping; of a traceroute, packets a hop")] = 3


class TargetOut(BaseModel):
    """The first line: what the name meant at that moment, and was sent to."""

    kind: Literal["target"]
    host: str
    address: str


class PacketOut(BaseModel):
    """`rtt_ms` null: lost; or `source`, a router, tells in `problem` why it got no further."""

    kind: Literal["packet"]
    number: int
    rtt_ms: float | None
    source: str | None
    problem: str | None


class SummaryOut(BaseModel):
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
    addresses: Annotated[list[str], Field(description="empty: nobody answered; several: routes part there")]
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
    found: Annotated[TargetOut | PacketOut | SummaryOut | HopOut | RouteOut, Field(discriminator="kind")]


class DiagnosisOut(BaseModel):
    id: int
    site_id: int
    kind: DiagnosisKind
    count: int
    requested_by: str
    requested_at: datetime
    status: DiagnosisStatus
    notice: Annotated[str | None, Field(description="while it waits: why it may wait in vain")]
    problem: Annotated[str | None, Field(description="why it failed")]
    started_at: datetime | None
    ended_at: datetime | None


class DiagnosisWithLines(DiagnosisOut):
    lines: Annotated[list[LineOut], Field(description="what was found so far, in order")]
