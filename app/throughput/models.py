from datetime import date
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment
from app.profiles import Technology


class Mode(StrEnum):
    """`pull`: the worker downloads the site's `speed_url`; `push`: its agent transfers from and to `/speedtest`."""

    PULL = "pull"
    PUSH = "push"


class SpeedtestStatus(StrEnum):
    """`waiting`: due, not admitted yet (`reason`); `running`: or granted and not reported yet, its greatest cost
    reserved; `done`; `invalid`: it ran, but did not measure the link; `failed`; `skipped`.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    INVALID = "invalid"
    FAILED = "failed"
    SKIPPED = "skipped"


class ThroughputTest(Base):
    """One planned speed test of a site: its result and cost, or why it did not run."""

    __tablename__ = "throughput_test"
    __table_args__ = (
        UniqueConstraint("site_id", "planned_at"),
        Index("ix_throughput_test_planned_at", "planned_at"),
        Index("ix_throughput_test_month_site_id", "month", "site_id"),
        Index("ix_throughput_test_open", "id", postgresql_where=text("status IN ('waiting', 'running')")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    planned_at: Mapped[Moment]
    month: Mapped[date]  # WITA, its first day: whose budget pays
    mode: Mapped[Mode]
    status: Mapped[SpeedtestStatus]
    reason: Mapped[str | None]  # why it was skipped or failed, or is invalid
    # the site's configuration at the time
    technology: Mapped[Technology]
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    village_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    contract_down_mbps: Mapped[float | None]
    contract_up_mbps: Mapped[float | None]
    allowed_down_bytes: Mapped[int] = mapped_column(BigInteger)
    allowed_up_bytes: Mapped[int] = mapped_column(BigInteger)
    max_s: Mapped[int]  # for each direction
    # maximum cost beyond the bytes below; stays if nobody settled the test, and counts as spent
    reserved_bytes: Mapped[int] = mapped_column(BigInteger)
    waits_until: Mapped[Moment]  # skipped if it did not start by then
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    down_bytes: Mapped[int] = mapped_column(BigInteger)  # spent, warm-up included
    up_bytes: Mapped[int] = mapped_column(BigInteger)
    down_began_at: Mapped[Moment | None]  # of a push test: its grant allows one download and one upload
    up_began_at: Mapped[Moment | None]
    down_ms: Mapped[int | None]  # by the server's clock, warm-up included
    up_ms: Mapped[int | None]
    down_mbps: Mapped[float | None]  # by the server's clock, without the warm-up
    up_mbps: Mapped[float | None]
    agent_down_mbps: Mapped[float | None]  # by the agent's
    agent_up_mbps: Mapped[float | None]
    rtt_idle_ms: Mapped[float | None]
    rtt_loaded_ms: Mapped[float | None]
    grant: Mapped[str | None] = mapped_column("grant_code", unique=True)  # of a push test
    expires_at: Mapped[Moment | None]  # a running test without a result by then is ended
    deferrals: Mapped[int] = mapped_column(server_default="0")  # how often its agent gave the grant back, in use
    deferred_at: Mapped[Moment | None]  # when it last did
    deferred_rx_bps: Mapped[int | None] = mapped_column(BigInteger)  # what it then counted, by its own account
    deferred_tx_bps: Mapped[int | None] = mapped_column(BigInteger)
    for_certificate: Mapped[bool] = mapped_column(server_default=false())  # beside the month's plan (hourly_tests)


class PlanningWatermark(Base):
    """The time up to which planned tests have been inserted as rows."""

    __tablename__ = "throughput_watermark"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    upto: Mapped[Moment]
