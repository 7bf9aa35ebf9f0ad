from sqlalchemy import ARRAY, Index, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment
from probes.contract import Outcome


class Measurement(Base):
    """A reading as a row; partitioned by WITA day."""

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
    """How far the counting has come. `closed`: what arrives for an earlier hour marks that hour as stale; `hours`,
    `days`: all before is rolled up, and of what comes next the sites up to `site_id`."""

    __tablename__ = "rollup_watermark"

    stage: Mapped[str] = mapped_column(primary_key=True)  # closed, hours, days
    upto: Mapped[Moment]
    site_id: Mapped[int] = mapped_column(server_default="0")


class StaleHour(Base):
    """An hour of a site of which something became known after it was closed: it is counted again."""

    __tablename__ = "stale_hour"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[Moment] = mapped_column(primary_key=True)
