from sqlalchemy import ARRAY, Index, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment
from probes.contract import Outcome


class Measurement(Base):
    """A reading as a row; partitioned by WITA day. (site, slot, source) is its identity."""

    __tablename__ = "measurement"
    __table_args__ = (
        Index("ix_measurement_slot", "slot", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
        {"postgresql_partition_by": "RANGE (slot)"},
    )

    site_id: Mapped[int] = mapped_column(primary_key=True)
    slot: Mapped[Moment] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[Outcome]
    sent: Mapped[int] = mapped_column(SmallInteger)
    valid_s: Mapped[int] = mapped_column(SmallInteger)
    rtt_us: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    reason: Mapped[str | None]


class RollupWatermark(Base):
    """How far the rollup has come, by stage.

    `closed`: a reading of an hour before it makes that hour stale. `hours`, `days`: all before it is rolled up, and of
    the next hour or day the sites up to `site_id`. `looks`: the same for days whose looks are counted.
    """

    __tablename__ = "rollup_watermark"

    stage: Mapped[str] = mapped_column(primary_key=True)  # closed, hours, days, looks
    upto: Mapped[Moment]
    site_id: Mapped[int] = mapped_column(server_default="0")


class StaleHour(Base):
    """An hour of a site that changed after it was closed: the rollup recounts it."""

    __tablename__ = "stale_hour"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[Moment] = mapped_column(primary_key=True)
