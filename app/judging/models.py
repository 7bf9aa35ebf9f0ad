from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.profiles import Technology
from app.registry.models import State, UnknownReason


class StateSegment(Base):
    """A stretch of one state of one site. The last one is open; how far its evidence reaches is in `site_status`."""

    __tablename__ = "state_segment"
    __table_args__ = (
        ExcludeConstraint(
            ("site_id", "="),
            (text("tstzrange(started_at, ended_at)"), "&&"),
            name="ex_state_segment_overlap",
            using="gist",
        ),
        Index("ix_state_segment_site_id_started_at", "site_id", "started_at"),
        Index("uq_state_segment_open", "site_id", unique=True, postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]
    state: Mapped[State]
    unknown_reason: Mapped[UnknownReason | None]
    last_ok_at: Mapped[Moment | None]  # the last answer before it began
    first_ok_after: Mapped[Moment | None]  # by when the answer that ended it had come at the latest
    confirmed_at: Mapped[Moment | None]  # of an outage: slot of the timeout that confirmed it
    last_loss_at: Mapped[Moment | None]  # of an outage that has ended: slot of its last timeout


class StoredClaim(Base):
    """A stretch that a site's device reported as good, and that nobody heard of at the time. Kept as segments are."""

    __tablename__ = "claim"
    __table_args__ = (
        ExcludeConstraint(
            ("site_id", "="), (text("tstzrange(started_at, ended_at)"), "&&"), name="ex_claim_overlap", using="gist"
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment]
    received_at: Mapped[Moment]  # of the push that claimed it first
    address: Mapped[str | None]  # that this push came from; kept as long as raw readings
    boot: Mapped[str | None]


class Blind(Base):
    """A stretch in which a source could not look: append-only. Overlapping timeouts are our fault, not an outage."""

    __tablename__ = "blind"

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    started_at: Mapped[Moment] = mapped_column(index=True)
    ended_at: Mapped[Moment]
    reason: Mapped[str]  # uplink, stopped, clock, ingest, mass_outage
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # of the canaries


class Suspicion(Base):
    """Many sites of several providers were lost within a minute: perhaps by our own fault. See `mass_outage`."""

    __tablename__ = "suspicion"

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    started_at: Mapped[Moment] = mapped_column(index=True)  # the first lost look of its suspects
    ended_at: Mapped[Moment]  # after the last one
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Suspect(Base):
    """A site's lost looks from `started_at` to `lost_at`: our fault unless `excused` is false; undecided if null."""

    __tablename__ = "suspect"
    __table_args__ = (
        Index("ix_suspect_site_id_lost_at", "site_id", "lost_at"),
        Index("ix_suspect_open", "site_id", postgresql_where=text("excused IS NULL")),
    )

    suspicion_id: Mapped[int] = mapped_column(ForeignKey("suspicion.id"), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    started_at: Mapped[Moment]
    lost_at: Mapped[Moment]
    excused: Mapped[bool | None]
    decided_at: Mapped[Moment | None]  # the slot of the look that decided it


class Checkpoint(Base):
    """A site's judge state at a full hour, after all readings before it: where a rejudgement can start."""

    __tablename__ = "checkpoint"
    __table_args__ = (Index("ix_checkpoint_at", "at", postgresql_using="brin"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    at: Mapped[Moment] = mapped_column(primary_key=True)
    carry: Mapped[dict[str, Any]] = mapped_column(JSONB)


class DatedProfile(Base):
    """A technology's profile, in force from `started_at` until its next one."""

    __tablename__ = "dated_profile"

    technology: Mapped[Technology] = mapped_column(primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    profile: Mapped[dict[str, Any]] = mapped_column(JSONB)


class WorkerBeat(Base):
    """A worker's heartbeat, written with every batch; of source `silence`, what is proven of ingest."""

    __tablename__ = "worker_beat"

    source: Mapped[str] = mapped_column(primary_key=True)
    beat_at: Mapped[Moment]
    started_at: Mapped[Moment]
    blind_since: Mapped[Moment | None]
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ShardTask(Base):
    """What one holder of a shard leaves to another: to take over a site, to judge it again, or to mind blindness."""

    __tablename__ = "shard_task"
    __table_args__ = (
        Index("ix_shard_task_order", "shard", "id"),
        CheckConstraint("kind IN ('take', 'rejudge', 'blind')", name="kind"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[str]
    site_id: Mapped[int | None]  # of `take` and `rejudge`
    source: Mapped[str | None]  # of `blind`
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
