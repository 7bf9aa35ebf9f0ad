from sqlalchemy import ARRAY, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Moment
from probes.contract import Outcome


class Measurement(Base):
    """A reading as a row; partitioned by WITA day."""

    __tablename__ = "measurement"
    __table_args__ = {"postgresql_partition_by": "RANGE (slot)"}  # noqa: RUF012  # SQLAlchemy's own convention

    site_id: Mapped[int] = mapped_column(primary_key=True)
    slot: Mapped[Moment] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[Outcome]
    sent: Mapped[int] = mapped_column(SmallInteger)
    valid_s: Mapped[int] = mapped_column(SmallInteger)
    rtt_us: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    reason: Mapped[str | None]
