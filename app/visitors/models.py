from datetime import date
from enum import StrEnum

from sqlalchemy import REAL, BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.periods import Step
from app.postgres.engine import Base, Moment


class VisitNetwork(StrEnum):
    """Where a visitor's request came from. `same`: a network that the site's own device came from in the last 30 days,
    or that of its registered address; `other`: another one; `unknown`: no network of the site is known.
    """

    SAME = "same"
    OTHER = "other"
    UNKNOWN = "unknown"


class Flaw(StrEnum):
    """Why a result is in no figure. `rtt_impossible`: faster than light on that technology's way; `not_served`: this
    service served no such transfer; `more_than_served`: fewer bytes went over; `faster_than_served`,
    `slower_than_served`: than this service's own clock allows.
    """

    RTT_IMPOSSIBLE = "rtt_impossible"
    NOT_SERVED = "not_served"
    MORE_THAN_SERVED = "more_than_served"
    FASTER_THAN_SERVED = "faster_than_served"
    SLOWER_THAN_SERVED = "slower_than_served"


class VisitDirection(StrEnum):
    DOWN = "down"
    UP = "up"


class VisitKey(Base):
    """A random key of a month (WITA): it signs visits and hides visitors; deleted when nothing needs it any more."""

    __tablename__ = "visit_key"

    month: Mapped[date] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary)


class VisitResult(Base):
    """What a visitor's page measured once: (visitor, seq) identifies it. Kept as long as raw readings."""

    __tablename__ = "visit_result"
    __table_args__ = (
        Index("ix_visit_result_site_id_at", "site_id", "at"),
        Index("ix_visit_result_site_id_received_at", "site_id", "received_at"),
        Index("ix_visit_result_at", "at"),
        Index("ix_visit_result_flawed", "at", "site_id", postgresql_where=text("flaw IS NOT NULL")),
    )

    visitor: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)  # keyed digest, another one each month
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    at: Mapped[Moment]  # when it was measured, by its age at its arrival
    received_at: Mapped[Moment]
    late: Mapped[bool]  # older than a minute when it arrived: proves nothing
    network: Mapped[VisitNetwork]
    rtt_us: Mapped[int | None]  # median of its round trips; None: none was answered
    samples: Mapped[int] = mapped_column(SmallInteger)
    lost: Mapped[int] = mapped_column(SmallInteger)
    offline_s: Mapped[int]  # how long the page had been without an answer before, by its own account
    down_mbps: Mapped[float | None] = mapped_column(REAL)
    up_mbps: Mapped[float | None] = mapped_column(REAL)
    flaw: Mapped[Flaw | None]


class VisitTransfer(Base):
    """One download or upload of a visitor: reserved before its first byte, settled by this service's own clock."""

    __tablename__ = "visit_transfer"
    __table_args__ = (
        Index("uq_visit_transfer_once", "visitor", "site_id", "direction", "hour", unique=True),
        Index("ix_visit_transfer_site_id_started_at", "site_id", "started_at"),
        Index("ix_visit_transfer_started_at", "started_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    visitor: Mapped[bytes] = mapped_column(LargeBinary)
    direction: Mapped[VisitDirection]
    hour: Mapped[Moment]
    source: Mapped[bytes] = mapped_column(LargeBinary)  # keyed digest of its network
    started_at: Mapped[Moment]
    expires_at: Mapped[Moment]  # until then it counts as running, unless it was settled
    allowed_bytes: Mapped[int] = mapped_column(BigInteger)
    reserved_bytes: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    ms: Mapped[int | None]
    mbps: Mapped[float | None]  # without the warm-up
    seq: Mapped[int | None] = mapped_column(BigInteger)  # of the result that it became a part of


class VisitTraffic(Base):
    """What visitors' measurements cost a site in a month (WITA), and what is reserved for those that run."""

    __tablename__ = "visit_traffic"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    reserved_bytes: Mapped[int] = mapped_column(BigInteger)


class VisitFigure(Base):
    """Figures of a site's results in an hour, a day or a month (WITA), by class of network: counted when results go."""

    __tablename__ = "visit_figure"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    step: Mapped[Step] = mapped_column(primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    network: Mapped[VisitNetwork] = mapped_column(primary_key=True)
    results: Mapped[int]
    flawed: Mapped[int]
    late: Mapped[int]
    visitors: Mapped[int]
    lost: Mapped[int]
    rtt_p50_ms: Mapped[float | None]
    rtt_p95_ms: Mapped[float | None]
    down_tests: Mapped[int]
    down_mbps: Mapped[float | None]
    up_tests: Mapped[int]
    up_mbps: Mapped[float | None]
