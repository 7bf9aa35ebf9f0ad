from datetime import date
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Moment
from app.profiles import Technology


class Mode(StrEnum):
    PULL = "pull"  # we download from the site's speed_url
    PUSH = "push"  # its agent downloads from us and uploads to us, under a grant


class TestStatus(StrEnum):
    RUNNING = "running"  # or granted, and not reported yet: what it may cost is reserved
    DONE = "done"
    INVALID = "invalid"  # it ran, and what it measured was not the link
    FAILED = "failed"
    SKIPPED = "skipped"


class ThroughputTest(Base):
    """One planned test of a site's speed: what came of it and what it cost, or why there was none."""

    __tablename__ = "throughput_test"
    __table_args__ = (
        UniqueConstraint("site_id", "planned_at"),
        Index("ix_throughput_test_planned_at", "planned_at"),
        Index("ix_throughput_test_month_site_id", "month", "site_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    planned_at: Mapped[Moment]
    month: Mapped[date]  # WITA, its first day: whose budget pays
    mode: Mapped[Mode]
    status: Mapped[TestStatus]
    reason: Mapped[str | None]  # why it was skipped or failed, or is invalid
    # as the site was then
    technology: Mapped[Technology]
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    village_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    contract_down_mbps: Mapped[float | None]
    contract_up_mbps: Mapped[float | None]
    reserved_bytes: Mapped[int] = mapped_column(BigInteger)  # the most it may cost; 0 once it is over
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    down_bytes: Mapped[int] = mapped_column(BigInteger)  # spent, warm-up included
    up_bytes: Mapped[int] = mapped_column(BigInteger)
    down_mbps: Mapped[float | None]  # by our clock
    up_mbps: Mapped[float | None]
    agent_down_mbps: Mapped[float | None]  # by the agent's
    agent_up_mbps: Mapped[float | None]
    rtt_idle_ms: Mapped[float | None]
    rtt_loaded_ms: Mapped[float | None]
    grant: Mapped[str | None] = mapped_column("grant_code", unique=True)  # of a push test; good with the device token
    expires_at: Mapped[Moment | None]  # of the grant
