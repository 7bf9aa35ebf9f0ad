from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.postgres.engine import Base, Moment
from app.registry.models import Site


class CertificateStatus(StrEnum):
    """`running`: its 24 hours lie ahead, or are not settled yet; `done`: numbered, and never changed again."""

    RUNNING = "running"
    DONE = "done"


class Certificate(Base):
    """24 hours of a site's measurements. A site's never overlap; a trigger refuses changes of one that is done."""

    __tablename__ = "certificate"
    __table_args__ = (
        ExcludeConstraint(
            ("site_id", "="),
            (text("tstzrange(started_at, ended_at)"), "&&"),
            name="ex_certificate_overlap",
            using="gist",
        ),
        Index("ix_certificate_running", "ended_at", postgresql_where=text("status = 'running'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    # whose it was when it was asked for: who sees it
    village_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"))
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment]
    status: Mapped[CertificateStatus] = mapped_column(server_default=CertificateStatus.RUNNING.value)
    follows_id: Mapped[int | None] = mapped_column(ForeignKey("certificate.id"))  # the one before the cure
    requested_at: Mapped[Moment]
    requested_by: Mapped[str]
    verify_code: Mapped[str] = mapped_column(unique=True)
    # once done:
    number: Mapped[str | None] = mapped_column(unique=True)
    data: Mapped[str | None]  # CertificateData as JSON, to the byte
    sha256: Mapped[str | None]  # of its files
    method: Mapped[str | None]
    results: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # of each part
    done_at: Mapped[Moment | None]

    site: Mapped[Site] = relationship(lazy="raise")
