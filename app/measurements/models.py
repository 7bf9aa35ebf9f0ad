from datetime import date

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Integer, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment
from probes.contract import Outcome


class Measurement(Base):
    """A reading as a row, until its hour is packed. (site, slot, source) is its identity."""

    __tablename__ = "measurement"
    __table_args__ = {"postgresql_partition_by": "RANGE (slot)"}  # noqa: RUF012

    site_id: Mapped[int] = mapped_column(primary_key=True)
    slot: Mapped[Moment] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[Outcome]
    sent: Mapped[int] = mapped_column(SmallInteger)
    valid_s: Mapped[int] = mapped_column(SmallInteger)
    rtt_us: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    reason: Mapped[str | None]


class ReadingPack(Base):
    """The readings of a site and source in one hour, or one WITA day, as bytes (see pack.py)."""

    __tablename__ = "reading_pack"
    __table_args__ = {"postgresql_partition_by": "RANGE (hour)"}  # noqa: RUF012

    hour: Mapped[Moment] = mapped_column(primary_key=True, sort_order=2)  # the first
    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)  # index into SOURCES
    span: Mapped[int] = mapped_column(SmallInteger)  # hours: 1 or 24
    readings: Mapped[int]
    timeouts: Mapped[int]
    lossy: Mapped[int]  # timeouts among them
    pack: Mapped[bytes]


class NearLook(Base):
    """What a site's device saw near itself beside a look at its anchors: by its own account, where it tells something.

    Null: not asked. See near_looks.py for what is kept.
    """

    __tablename__ = "near_look"
    __table_args__ = (Index("ix_near_look_slot", "slot", postgresql_using="brin"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    slot: Mapped[Moment] = mapped_column(primary_key=True)
    lost: Mapped[bool]  # no anchor answered
    lan: Mapped[bool | None]  # the next hop answered, a device of the site
    terminal: Mapped[bool | None]  # the link's terminal answered
    carrier: Mapped[bool | None]  # the interface towards the next hop has a signal


class PushTraffic(Base):
    """Traffic of a site's pushes and streams in a month (WITA): bodies, and an estimate for headers and TLS."""

    __tablename__ = "push_traffic"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)  # its first day
    requests: Mapped[int] = mapped_column(BigInteger)  # pushes
    bytes: Mapped[int] = mapped_column(BigInteger)


class SetAsidePack(Base):
    """The bytes of a pack that could not be read when readings were added to it; those were packed without it."""

    __tablename__ = "corrupt_pack"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    found_at: Mapped[Moment] = mapped_column(server_default=func.now())
    hour: Mapped[Moment]
    site_id: Mapped[int]
    source: Mapped[int] = mapped_column(SmallInteger)
    pack: Mapped[bytes]


class RollupWatermark(Base):
    """How far the rollup has come, by stage.

    `closed`: a reading of an hour before it makes that hour stale. `hours`, `days`: all before it is rolled up, and of
    the next hour or day the sites up to `site_id`. `looks`: the same for days whose looks are counted. `packed`: all
    before it is in packs, and of the next hour the sites up to `site_id`. `packing`: new readings of an hour before it
    are stored in packs. `day_packs`: all before it is in packs of a day, and of the next day the sites up to `site_id`.
    """

    __tablename__ = "rollup_watermark"

    stage: Mapped[str] = mapped_column(primary_key=True)  # closed, hours, days, looks, packing, packed, day_packs
    upto: Mapped[Moment]
    site_id: Mapped[int] = mapped_column(server_default="0")


class StaleHour(Base):
    """An hour of a site that changed after it was closed: the rollup recounts it."""

    __tablename__ = "stale_hour"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[Moment] = mapped_column(primary_key=True)
