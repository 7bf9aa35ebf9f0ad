from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment


class DiagnosisKind(StrEnum):
    """`ping`; `traceroute`: the path, hop by hop."""

    PING = "ping"
    TRACEROUTE = "traceroute"


class DiagnosisStatus(StrEnum):
    """`waiting`: for the worker; `running`; `done`; `failed`: `problem` says why."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Diagnosis(Base):
    """A ping or traceroute of one site on demand, run by the worker from its network."""

    __tablename__ = "diagnosis"
    __table_args__ = (
        Index("uq_diagnosis_open", "site_id", unique=True, postgresql_where=text("status IN ('waiting', 'running')")),
        Index("ix_diagnosis_site_id_requested_at", "site_id", "requested_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    kind: Mapped[DiagnosisKind]
    count: Mapped[int]  # packets of a ping, probes of each hop
    requested_by: Mapped[str]
    requested_at: Mapped[Moment] = mapped_column(server_default=func.now())
    status: Mapped[DiagnosisStatus]
    problem: Mapped[str | None]  # why it failed
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]


class DiagnosisLine(Base):
    """One result of a diagnosis, stored as soon as it is known."""

    __tablename__ = "diagnosis_line"

    diagnosis_id: Mapped[int] = mapped_column(ForeignKey("diagnosis.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[Moment] = mapped_column(server_default=func.now())
    found: Mapped[dict[str, Any]] = mapped_column(JSONB)
