from datetime import date
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.profiles import Technology
from app.registry.models import LinkRole


class CountedDay(Base):
    """A WITA day that is counted: the rows below exist for every access point."""

    __tablename__ = "counted_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    counted_at: Mapped[Moment]


class AvailabilityDay(Base):
    """The seconds of a site on a day, while it was configured with this provider and technology in this village.

    `countable_down_s` and `contract_s` are those of the primary link's contract, for the sums of regions.
    `outages` and the longest one cover those that lie wholly inside; the others are in `outage_part`. `down_by_cause`
    holds known causes; the rest of `down` is unclassified.
    """

    __tablename__ = "availability_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"), primary_key=True)
    technology: Mapped[Technology] = mapped_column(primary_key=True)
    village_code: Mapped[str] = mapped_column(primary_key=True)
    up: Mapped[int]
    degraded: Mapped[int]
    down: Mapped[int]
    unreachable: Mapped[int]
    unknown: Mapped[int]
    maintenance: Mapped[int]
    inactive: Mapped[int]
    claimed: Mapped[int]  # a part of these
    outages: Mapped[int]
    longest_outage_s: Mapped[int]
    countable_down_s: Mapped[int]
    contract_s: Mapped[int]
    down_by_cause: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ContractDay(Base):
    """What a contract counts of a site's seconds on a day, for one of its links, under terms that began on `terms_on`.

    Apart for each provider, technology and village that the site was configured with, as in AvailabilityDay.
    `service_s` is the sum of good, counted down, excluded and unknown; the rest of `covered_s` is out of service or
    service hours. `claimed_s` is a part of good and unknown.
    """

    __tablename__ = "contract_day"
    __table_args__ = (Index("ix_contract_day_contract_id_day", "contract_id", "day"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    link_role: Mapped[LinkRole] = mapped_column(primary_key=True)
    terms_on: Mapped[date] = mapped_column(primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"), primary_key=True)
    technology: Mapped[Technology] = mapped_column(primary_key=True)
    village_code: Mapped[str] = mapped_column(primary_key=True)
    covered_s: Mapped[int]
    service_s: Mapped[int]
    good_s: Mapped[int]
    counted_down_s: Mapped[int]
    unknown_s: Mapped[int]
    claimed_s: Mapped[int]
    excluded: Mapped[dict[str, Any]] = mapped_column(JSONB)  # seconds by reason


class OutagePart(Base):
    """The part on one side of an outage that crosses midnight or a change of configuration; its start identifies it."""

    __tablename__ = "outage_part"
    __table_args__ = (Index("ix_outage_part_site_id_day", "site_id", "day"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"), primary_key=True)
    technology: Mapped[Technology] = mapped_column(primary_key=True)
    village_code: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    seconds: Mapped[int]


ALL_PROVIDERS, ALL_TECHNOLOGIES = 0, "all"


class RegionAvailabilityDay(Base):
    """The seconds of all access points of a kecamatan, a kabupaten/kota or the province. Nodes never count.

    By provider and technology, and for all of either together, so that any request reads one row a day.
    """

    __tablename__ = "region_availability_day"

    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"), primary_key=True)
    provider_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    technology: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    up: Mapped[int] = mapped_column(BigInteger)
    degraded: Mapped[int] = mapped_column(BigInteger)
    down: Mapped[int] = mapped_column(BigInteger)
    unreachable: Mapped[int] = mapped_column(BigInteger)
    unknown: Mapped[int] = mapped_column(BigInteger)
    maintenance: Mapped[int] = mapped_column(BigInteger)
    claimed: Mapped[int] = mapped_column(BigInteger)
    outages: Mapped[int]
    longest_outage_s: Mapped[int]
    countable_down_s: Mapped[int] = mapped_column(BigInteger)
    contract_s: Mapped[int] = mapped_column(BigInteger)
    down_by_cause: Mapped[dict[str, Any]] = mapped_column(JSONB)


class MaintenanceWindow(Base):
    """Planned work on one site, or on those of a region, a provider, or a provider within a region. Never deleted."""

    __tablename__ = "maintenance_window"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[Moment] = mapped_column(index=True)
    ended_at: Mapped[Moment]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    region_code: Mapped[str | None] = mapped_column(ForeignKey("region.code"))
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))
    title: Mapped[str]
    reason: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    announced_at: Mapped[Moment] = mapped_column(server_default=func.now())  # or last moved over time that was over
    updated_at: Mapped[Moment] = mapped_column(server_default=func.now())
    cancelled_at: Mapped[Moment | None]
    cancelled_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger)


class StaleDay(Base):
    """A site's day whose states changed after it was over: to be counted again, computed on request until then."""

    __tablename__ = "stale_day"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    marked_at: Mapped[Moment] = mapped_column(server_default=func.now())
    due_at: Mapped[Moment] = mapped_column(server_default=func.now())  # not counted again before that


class StaleMonth(Base):
    """A site's month that changed after it was due to be closed: its correction is to be computed."""

    __tablename__ = "stale_month"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)  # its first day
    reason: Mapped[str]


class ClosedMonth(Base):
    """The figures of a site's contract month when it was closed: never rewritten."""

    __tablename__ = "closed_month"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)
    closed_at: Mapped[Moment]


class MonthCorrection(Base):
    """A closed month's figures by what became known later: append-only, shown beside the closed ones."""

    __tablename__ = "month_correction"
    __table_args__ = (Index("ix_month_correction_site_id_month", "site_id", "month"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    month: Mapped[date]
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recorded_at: Mapped[Moment]
    reason: Mapped[str]
