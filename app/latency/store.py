"""Reads latency over a period: whole months, days and hours from the rollups, the rest from single readings.

Lost packets count as loss and never as latency. Percentiles come from histograms, within 2%; everything else is exact.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite, SiteGroup
from app.core.clock import WITA, WITA_SQL
from app.core.periods import Period, Step
from app.latency.latency_query import LatencyQuery
from app.latency.raw_counts import count_raw, list_stale_hours
from app.latency.rollup_tiers import RollupProgress, Tier, ceil, floor
from app.measurements import partitions

FIGURES = ("loss_pct", "min_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "jitter_ms")
REPLAN = text("SET LOCAL plan_cache_mode = 'force_custom_plan'")  # the plan for a day does not suit a year
PRIMARY = text("""
    SELECT vantages[1] FROM site_configuration WHERE site_id = :id
    ORDER BY started_at < :end DESC, started_at DESC LIMIT 1
""")
WATERMARKS = text("SELECT stage, upto FROM rollup_watermark")
STALE_DAYS = f"""
    SELECT DISTINCT date_trunc('day', hour, {WITA_SQL}) FROM stale_hour
    WHERE hour >= :first AND hour < :last AND site_id IN (SELECT site_id FROM ({{members}}) m)
"""


async def read_latency(
    session: AsyncSession, sites: SingleSite | SiteGroup, period: Period, step: Step
) -> dict[str, Any]:
    """Return `series` and `total`, and for a group how many of its `sites` were measured.

    Where single readings are gone the period is widened to whole hours; `from` and `to` are what was covered.
    """
    await session.execute(REPLAN)
    progress = await read_progress(session, sites, period)
    period = await _covered(session, period, progress)
    query = await plan_query(session, sites, period, step, progress)
    return await _read(session, query, period, step)


async def _read(session: AsyncSession, query: LatencyQuery, period: Period, step: Step) -> dict[str, Any]:
    rows = {row.n: row for row in await session.execute(text(query.sql), query.parameters)}
    total = _row(period, rows.get(0))
    series = [_row(part, rows.get(n)) for n, part in enumerate(query.parts, 1)] if query.has_series else [total]
    response = {"from": period.start, "to": period.end, "step": step, "series": series, "total": total}
    if isinstance(query.sites, SingleSite):
        return response
    return {**response, "sites": rows[0].sites if 0 in rows else 0}


async def read_vantage_latency(
    session: AsyncSession, site: SingleSite, period: Period, step: Step, *, vantage: int | None
) -> dict[str, Any]:
    """Return what `read_latency` does, and which vantage's readings they are: its primary's, or those of `vantage`.

    Of another vantage than the primary there are single readings alone.
    """
    primary = await session.scalar(PRIMARY, {"id": site.site_id, "end": period.end})
    if vantage is None or vantage == primary:
        return {**await read_latency(session, site, period, step), "vantage": primary}
    await session.execute(REPLAN)
    no_rollups = RollupProgress(period.start, period.start, set())
    period = await _covered(session, period, no_rollups)
    query = await plan_query(session, site, period, step, no_rollups, vantage=vantage)
    return {**await _read(session, query, period, step), "vantage": vantage}


async def plan_query(
    session: AsyncSession,
    sites: SingleSite | SiteGroup,
    period: Period,
    step: Step,
    progress: RollupProgress,
    *,
    vantage: int | None = None,
) -> LatencyQuery:
    """Return the query, with what is counted from single readings. Raises QueryTimeout for too many of them."""
    query, stale = LatencyQuery(sites, period, step, progress), []
    if progress.stale_days:
        whole_hours = ceil(period.start, Tier.HOUR), floor(min(period.end, progress.hours), Tier.HOUR)
        stale = await list_stale_hours(session, sites, *whole_hours, sorted(progress.stale_days))
    if stale or query.raw_ranges:
        starts = [part.start for part in query.parts]
        query.add_raw(await count_raw(session, sites, starts, query.raw_ranges, stale, vantage=vantage))
    return query


async def read_progress(session: AsyncSession, sites: SingleSite | SiteGroup, period: Period) -> RollupProgress:
    """Return how far the rollups have come, and the stale days of these sites in the months that the period touches."""
    upto = {row.stage: row.upto for row in await session.execute(WATERMARKS)}
    months = {"first": floor(period.start, Tier.MONTH), "last": ceil(period.end, Tier.MONTH)}
    stale = await session.scalars(text(STALE_DAYS.format(members=sites.members_sql)), {**months, **sites.parameters})
    return RollupProgress(upto["hours"], upto["days"], {start.astimezone(WITA).date() for start in stale})


async def _covered(session: AsyncSession, period: Period, progress: RollupProgress) -> Period:
    start, end = floor(period.start, Tier.HOUR), ceil(period.end, Tier.HOUR)
    if (start, end) == (period.start, period.end) or start >= progress.hours:
        return period
    oldest = await partitions.oldest_reading_at(session) or progress.hours
    return Period(start if start < oldest else period.start, end if end <= oldest else period.end)


def _row(part: Period, sums: Any) -> dict[str, Any]:
    """Return figures in ms with three decimals; loss is rounded down, so that only all of it is shown as 100%."""
    if sums is None:
        return {"start": part.start, "end": part.end, "samples": 0, **dict.fromkeys(FIGURES)}
    loss_pct = (sums.sent - sums.received) * 100_000 // sums.sent / 1000 if sums.sent else None
    return {
        "start": part.start,
        "end": part.end,
        "samples": sums.received,
        "loss_pct": loss_pct,
        "min_ms": _ms(sums.rtt_min),
        "mean_ms": _ms(sums.rtt_sum, sums.received),
        "p50_ms": _ms(sums.p50),
        "p95_ms": _ms(sums.p95),
        "p99_ms": _ms(sums.p99),
        "max_ms": _ms(sums.rtt_max),
        "jitter_ms": _ms(sums.jitter_sum, sums.jitter_count),
    }


def _ms(us: float | None, count: int = 1) -> float | None:
    return None if us is None else round(us / count / 1000, 3)
