from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.diagnoses.models import DiagnosisKind, DiagnosisStatus

EXAMPLE: dict[str, Any] = {"kind": "ping", "count": 5}
PACKET: dict[str, Any] = {"kind": "packet", "number": 1, "rtt_ms": 22.759, "source": "198.51.100.20", "problem": None}
LINE: dict[str, Any] = {"number": 2, "at": "2026-11-24T06:05:03Z", "found": PACKET}
DIAGNOSIS: dict[str, Any] = {
    "id": 7,
    "site_id": 512,
    **EXAMPLE,
    "requested_by": "ana",
    "requested_at": "2026-11-24T06:05:01Z",
    "status": "running",
    "notice": None,
    "problem": None,
    "started_at": "2026-11-24T06:05:02Z",
    "ended_at": None,
}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class DiagnosisIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    kind: DiagnosisKind = Field(description="what to do")
    count: Annotated[int, Field(ge=1, le=20, description="packets of a ping, or packets per hop of a traceroute")] = 3


class TargetOut(BaseModel):
    """The first line: the address that the host name resolved to."""

    model_config = _example(kind="target", host="kantor.desa.example", address="198.51.100.20")

    kind: Annotated[Literal["target"], Field(description="kind of the line")]
    host: str = Field(description="the site's host")
    address: str = Field(description="the address that is probed")


class PacketOut(BaseModel):
    """`rtt_ms` null: lost, or stopped by the router `source` for the reason in `problem`."""

    model_config = _example(**PACKET)

    kind: Annotated[Literal["packet"], Field(description="kind of the line")]
    number: int = Field(description="number of the packet, from 1")
    rtt_ms: float | None = Field(description="its round-trip time in ms; null: lost, or stopped")
    source: str | None = Field(description="address that answered")
    problem: str | None = Field(description="why the router stopped it")


class PingSummaryOut(BaseModel):
    """A ping's last line."""

    model_config = _example(
        kind="summary", sent=5, received=4, loss_pct=20.0, rtt_min_ms=22.7, rtt_avg_ms=23.2, rtt_max_ms=23.7
    )

    kind: Annotated[Literal["summary"], Field(description="kind of the line")]
    sent: int = Field(description="packets sent")
    received: int = Field(description="packets answered")
    loss_pct: float | None
    rtt_min_ms: float | None = Field(description="shortest round-trip time, in ms")
    rtt_avg_ms: float | None = Field(description="mean round-trip time, in ms")
    rtt_max_ms: float | None = Field(description="longest round-trip time, in ms")


class HopOut(BaseModel):
    """A router on the way."""

    model_config = _example(kind="hop", number=3, addresses=["203.0.113.7"], sent=3, rtt_ms=[11.2, 11.9], problem=None)

    kind: Annotated[Literal["hop"], Field(description="kind of the line")]
    number: int = Field(description="number of the hop, from 1")
    addresses: Annotated[list[str], Field(description="empty: no answer; several: the route branches here")]
    sent: int = Field(description="packets sent to it")
    rtt_ms: Annotated[list[float], Field(description="round-trip time of each answer, in ms")]
    problem: str | None = Field(description="why the route ends here")


class RouteOut(BaseModel):
    """A traceroute's last line."""

    model_config = _example(kind="route", hops=7, reached=True)

    kind: Annotated[Literal["route"], Field(description="kind of the line")]
    hops: int = Field(description="length of the route")
    reached: bool = Field(description="whether the address answered")


class LineOut(BaseModel):
    model_config = _example(**LINE)

    number: int = Field(description="number of the line, from 1")
    at: datetime
    found: Annotated[
        TargetOut | PacketOut | PingSummaryOut | HopOut | RouteOut,
        Field(discriminator="kind", description="what was found"),
    ]


class DiagnosisOut(BaseModel):
    model_config = _example(**DIAGNOSIS)

    id: int
    site_id: int
    kind: DiagnosisKind
    count: int = Field(description="packets of a ping, or per hop of a traceroute")
    requested_by: str = Field(description="username of who asked for it")
    requested_at: datetime = Field(description="when it was asked for")
    status: DiagnosisStatus
    notice: Annotated[str | None, Field(description="while it waits: why it may not start")]
    problem: Annotated[str | None, Field(description="why it failed")]
    started_at: datetime | None
    ended_at: datetime | None


class DiagnosisWithLines(DiagnosisOut):
    model_config = _example(**DIAGNOSIS, lines=[LINE])

    lines: Annotated[list[LineOut], Field(description="results so far, in order")]
