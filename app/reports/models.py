from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.registry.models import Contract


class ReportKind(StrEnum):
    """`month`: of a month; `correction`: of a report that was issued; `recap`: of a year."""

    MONTH = "month"
    CORRECTION = "correction"
    RECAP = "recap"


class ReportStatus(StrEnum):
    """`draft`: open to objections, its figures follow what is known; `issued`: numbered, and never changed again."""

    DRAFT = "draft"
    ISSUED = "issued"


class ObjectionDecision(StrEnum):
    """`accepted`, `rejected`, `partly`: accepted in part."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    PARTLY = "partly"


class Report(Base):
    """A berita acara. A trigger refuses every change of one that is issued."""

    __tablename__ = "report"
    __table_args__ = (
        UniqueConstraint("corrects_id"),  # corrections follow each other: what is corrected again is the last one
        Index("uq_report_draft", "contract_id", "period", unique=True, postgresql_where=text("status = 'draft'")),
        Index("uq_report_first", "contract_id", "period", unique=True, postgresql_where=text("corrects_id IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    period: Mapped[str]  # 2026-10, of a year 2026
    kind: Mapped[ReportKind]
    status: Mapped[ReportStatus] = mapped_column(server_default=ReportStatus.DRAFT.value)
    number: Mapped[str | None] = mapped_column(unique=True)  # once issued
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("report.id"))
    reason: Mapped[str | None]  # of a correction
    objections_until: Mapped[Moment]
    no_objections_at: Mapped[Moment | None]
    no_objections_by: Mapped[str | None]
    data: Mapped[str]  # ReportData or RecapData as JSON, to the byte
    sha256: Mapped[str]  # of its files
    method: Mapped[str]
    totals: Mapped[dict[str, Any]] = mapped_column(JSONB)
    village_codes: Mapped[list[str]] = mapped_column(ARRAY(Text))  # of its lines
    basis: Mapped[str]  # of a draft: fingerprint of what its figures rest on
    changes: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))  # of figures since it was drafted
    verify_code: Mapped[str] = mapped_column(unique=True)
    drafted_at: Mapped[Moment] = mapped_column(server_default=func.now())
    drafted_by: Mapped[str]
    issued_at: Mapped[Moment | None]
    issued_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))

    contract: Mapped[Contract] = relationship(lazy="raise")


class ReportNumber(Base):
    """The last number of a series, `BA-2026-10`; its row is locked until the report with it is issued: no gaps."""

    __tablename__ = "report_number"

    series: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class Objection(Base):
    """What the provider objects to; a trigger refuses changes once the report is issued."""

    __tablename__ = "report_objection"
    __table_args__ = (UniqueConstraint("report_id", "no"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"))
    no: Mapped[int]
    site: Mapped[str | None]  # its code
    outage_started_at: Mapped[Moment | None]
    text: Mapped[str]
    evidence: Mapped[str | None]
    filed_at: Mapped[Moment] = mapped_column(server_default=func.now())
    filed_by: Mapped[str]
    decision: Mapped[ObjectionDecision | None]
    decision_text: Mapped[str | None]
    decided_at: Mapped[Moment | None]
    decided_by: Mapped[str | None]
