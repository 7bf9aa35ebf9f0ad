from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.registry.models import Cause, Provider


class IncidentKind(StrEnum):
    """`single`: of one site; `shared`: of several that went down together."""

    SINGLE = "single"
    SHARED = "shared"


class IncidentStatus(StrEnum):
    """`open`; `acknowledged`: somebody deals with it; `resolved`: the sites answer again; `withdrawn`: later evidence
    shows that there was no outage.
    """

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


class Happening(StrEnum):
    """`opened`; `moved`: its bounds or its cause hint changed; `resolved`; `reopened`; `withdrawn`; `joined`: a site
    did; `left`: a site did; `changed`: by a person; `refuted`: a site's device claims to have been well.
    """

    OPENED = "opened"
    MOVED = "moved"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    WITHDRAWN = "withdrawn"
    JOINED = "joined"
    LEFT = "left"
    CHANGED = "changed"
    REFUTED = "refuted"


class Incident(Base):
    """One or more outages that people deal with together; its bounds span those of its outages."""

    __tablename__ = "incident"
    __table_args__ = (Index("ix_incident_started_at_id", "started_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[IncidentKind]
    status: Mapped[IncidentStatus]
    opened_at: Mapped[Moment]
    started_at: Mapped[Moment]
    last_ok_at: Mapped[Moment | None]
    confirmed_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    first_ok_after: Mapped[Moment | None]
    cause: Mapped[Cause | None]
    cause_hint: Mapped[Cause | None]
    cause_confirmed_by: Mapped[str | None]
    assignee: Mapped[str | None]
    ticket_no: Mapped[str | None]
    reported_at: Mapped[Moment | None]
    acknowledged_at: Mapped[Moment | None]
    acknowledged_by: Mapped[str | None]
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("incident.id"), index=True)
    shared_parent_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    shared_provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))
    shared_district: Mapped[str | None] = mapped_column(ForeignKey("region.code"))
    version: Mapped[int] = mapped_column(BigInteger, index=True)


class IncidentSite(Base):
    """One outage of one site within an incident. Its bounds follow the ledger; withdrawn once the ledger lacks it."""

    __tablename__ = "incident_site"
    __table_args__ = (
        Index("ix_incident_site_site_id_started_at", "site_id", "started_at"),
        Index("ix_incident_site_open", "site_id", postgresql_where=text("ended_at IS NULL AND withdrawn_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    started_at: Mapped[Moment]  # the first lost slot
    last_ok_at: Mapped[Moment | None]
    confirmed_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]  # the first answer's slot, or the end of service
    first_ok_after: Mapped[Moment | None]
    last_loss_at: Mapped[Moment | None]  # null while the site is seen down: then its `evidence_at` is the last loss
    unseen_s: Mapped[int]  # seconds between the first and last loss in which it was not seen down
    withdrawn_at: Mapped[Moment | None]
    refuted_at: Mapped[Moment | None]  # when its device first claimed to have been well
    refuted_s: Mapped[int] = mapped_column(server_default="0")  # how much of it that claims
    refuted_signs: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # what else speaks for a forgery

    incident: Mapped[Incident] = relationship(lazy="raise")

    @property
    def open(self) -> bool:
        return self.ended_at is None and self.withdrawn_at is None


class IncidentEvent(Base):
    """What changed, when and by whom (null: the evidence). Append-only."""

    __tablename__ = "incident_event"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"), index=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    at: Mapped[Moment]
    by: Mapped[str | None]
    kind: Mapped[Happening]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    incident: Mapped[Incident] = relationship(lazy="raise")


class IncidentNote(Base):
    """What an office wrote, for itself and the offices above and below it, and perhaps for one provider."""

    __tablename__ = "incident_note"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"), index=True)
    at: Mapped[Moment]
    by: Mapped[str]
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))  # of the office
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))  # null: for offices alone
    text: Mapped[str]

    provider: Mapped[Provider | None] = relationship(lazy="raise")

    @property
    def audience(self) -> str | None:
        return self.provider.slug if self.provider is not None else None


def jsonable(value: object) -> object:
    """Convert a field's value for `IncidentEvent.before` and `after`."""
    return value.isoformat() if isinstance(value, datetime) else value


class OutageCause(Base):
    """The cause that a person gave for one stretch of a site. Withdrawn when replaced, never deleted."""

    __tablename__ = "outage_cause"
    __table_args__ = (
        ExcludeConstraint(
            ("site_id", "="),
            (text("tstzrange(started_at, ended_at)"), "&&"),
            name="ex_outage_cause_overlap",
            using="gist",
            where=text("withdrawn_at IS NULL"),
        ),
        Index("ix_outage_cause_site_id_started_at", "site_id", "started_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]  # null: the outage still runs
    cause: Mapped[Cause]
    confirmed_by: Mapped[str]
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())
    withdrawn_at: Mapped[Moment | None]
