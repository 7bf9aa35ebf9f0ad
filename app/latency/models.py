from datetime import date

from sqlalchemy import ARRAY, BigInteger, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment


class LatencyColumns:
    """Sums in µs, and a histogram: `bucket` in order, `upto` = how many packets fell into that bucket or below."""

    rtt_sum: Mapped[int | None] = mapped_column(BigInteger)
    jitter_sum: Mapped[int | None] = mapped_column(BigInteger)  # |differences| of neighbouring packets of a reading
    rtt_min: Mapped[int | None]
    rtt_max: Mapped[int | None]
    bucket: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))


class SiteLatencyColumns(LatencyColumns):
    sent: Mapped[int]
    received: Mapped[int]
    jitter_count: Mapped[int | None]
    upto: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class RegionLatencyColumns(LatencyColumns):
    """Of a region's access points that day. Provider 0 and technology `all` stand for all of them together."""

    sent: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger)
    jitter_count: Mapped[int | None] = mapped_column(BigInteger)
    upto: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    region_code: Mapped[str] = mapped_column(primary_key=True)
    provider_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    technology: Mapped[str] = mapped_column(String(20), primary_key=True)


class RollupHour(SiteLatencyColumns, Base):
    __tablename__ = "rollup_hour"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[Moment] = mapped_column(primary_key=True)


class RollupDay(SiteLatencyColumns, Base):
    __tablename__ = "rollup_day"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)  # WITA


class RegionDay(RegionLatencyColumns, Base):
    __tablename__ = "region_day"

    day: Mapped[date] = mapped_column(primary_key=True)


class RegionMonth(RegionLatencyColumns, Base):
    """Whole months that are over."""

    __tablename__ = "region_month"

    month: Mapped[date] = mapped_column(primary_key=True)  # its first day


class LookColumns:
    """Looks of a site, at most one a minute: the worst of that minute. `within[n]` of them within LOOK_BOUNDS_MS[n-1].

    A lost look had no answer, and is within no bound. The array is shorter where bounds were added later.
    """

    looks: Mapped[int]
    lost: Mapped[int]
    within: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class LookHour(LookColumns, Base):
    __tablename__ = "look_hour"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[Moment] = mapped_column(primary_key=True)


class LookDay(LookColumns, Base):
    """A day's looks, and those of its evening. No row: that day was not counted, and its readings are gone."""

    __tablename__ = "look_day"

    site_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)  # WITA
    evening_looks: Mapped[int]
    evening_lost: Mapped[int]
    evening_within: Mapped[list[int]] = mapped_column(ARRAY(Integer))
