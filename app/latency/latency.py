"""Latency over a period: whole months, days and hours out of what is counted, the rest out of single readings.

Lost packets count as loss and never as latency. Percentiles come from histograms, within 2%; the rest is exact.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import OneSite, Selection
from app.core.clock import WITA, WITA_SQL
from app.core.periods import Period, Step
from app.latency.latency_query import Composed
from app.latency.rollup_tiers import Counted, Tier, ceil, floor
from app.measurements import partitions

FIGURES = ("loss_pct", "min_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "jitter_ms")
PLANNED_EACH_TIME = text("SET LOCAL plan_cache_mode = 'force_custom_plan'")  # a day's plan is no plan for a year
WATERMARKS = text("SELECT stage, upto FROM rollup_watermark")
STALE_DAYS = f"""
    SELECT DISTINCT date_trunc('day', hour, {WITA_SQL}) FROM stale_hour
    WHERE hour >= :first AND hour < :last AND site_id IN (SELECT site_id FROM ({{members}}) m)
"""
SITES = """
    SELECT count(DISTINCT site_id) FROM ({members}) m WHERE EXISTS (
        SELECT FROM rollup_hour h WHERE h.site_id = m.site_id AND h.sent > 0
            AND h.hour >= date_trunc('hour', greatest(m.since, :first), 'UTC') AND h.hour < least(m.until, :last)
    ) OR EXISTS (
        SELECT FROM measurement r WHERE r.site_id = m.site_id AND r.sent > 0
            AND r.slot >= greatest(m.since, :live, :first) AND r.slot < least(m.until, :last)
            AND r.slot >= greatest(:live, :first) AND r.slot < :last
    )
"""


async def latency(session: AsyncSession, of: OneSite | Selection, period: Period, step: Step) -> dict[str, Any]:
    """Where single readings are gone, the period is widened to whole hours; `from` and `to` say what was covered."""
    await session.execute(PLANNED_EACH_TIME)
    counted = await counted_so_far(session, of, period)
    period = await _covered(session, period, counted)
    composed = Composed(of, period, step, counted)
    found = {row.n: row for row in await session.execute(text(composed.sql), composed.values)}
    total = _row(period, found.get(0))
    several = len(composed.parts) > 1
    series = [_row(part, found.get(n)) for n, part in enumerate(composed.parts, 1)] if several else [total]
    answer = {"from": period.start, "to": period.end, "step": step, "series": series, "total": total}
    return answer if isinstance(of, OneSite) else {**answer, "sites": await _sites(session, of, period, counted)}


async def counted_so_far(session: AsyncSession, of: OneSite | Selection, period: Period) -> Counted:
    upto = {row.stage: row.upto for row in await session.execute(WATERMARKS)}
    span = {"first": floor(period.start, Tier.MONTH), "last": ceil(period.end, Tier.MONTH)}
    stale = await session.scalars(text(STALE_DAYS.format(members=of.members)), {**span, **of.values})
    return Counted(upto["hours"], upto["days"], {start.astimezone(WITA).date() for start in stale})


async def _covered(session: AsyncSession, period: Period, counted: Counted) -> Period:
    start, end = floor(period.start, Tier.HOUR), ceil(period.end, Tier.HOUR)
    if (start, end) == (period.start, period.end) or start >= counted.hours:
        return period
    kept = await partitions.oldest_reading_at(session) or counted.hours
    return Period(start if start < kept else period.start, end if end <= kept else period.end)


async def _sites(session: AsyncSession, of: Selection, period: Period, counted: Counted) -> int:
    """How many sites were looked at."""
    given = {"first": period.start, "last": period.end, "live": counted.hours}
    return await session.scalar(text(SITES.format(members=of.members)), {**given, **of.values}) or 0


def _row(part: Period, row: Any) -> dict[str, Any]:
    """In ms, with three decimals; loss is rounded down, so that less than all is never shown as all."""
    if row is None:
        return {"start": part.start, "end": part.end, "samples": 0, **dict.fromkeys(FIGURES)}
    lost = (row.sent - row.received) * 100_000 // row.sent / 1000 if row.sent else None
    return {
        "start": part.start,
        "end": part.end,
        "samples": row.received,
        "loss_pct": lost,
        "min_ms": _ms(row.rtt_min),
        "mean_ms": _ms(row.rtt_sum, row.received),
        "p50_ms": _ms(row.p50),
        "p95_ms": _ms(row.p95),
        "p99_ms": _ms(row.p99),
        "max_ms": _ms(row.rtt_max),
        "jitter_ms": _ms(row.jitter_sum, row.jitter_count),
    }


def _ms(us: float | None, count: int = 1) -> float | None:
    return None if us is None else round(us / count / 1000, 3)
