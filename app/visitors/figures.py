"""Figures of a site's visitors by hour, day or month, each class of network apart; one visitor weighs as any other.

A visitor's own median comes first, then the median of visitors: thousands of results of one are one visitor's. Results
with a flaw are counted and in no figure. Months whose results are deleted are read from what was counted then.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA_SQL, midnight, month_of
from app.core.periods import Period, Step
from app.visitors.models import VisitFigure, VisitNetwork, VisitResult

SITES_AT_ONCE = 200  # whose results are deleted in one run
FIELDS = (
    *("results", "flawed", "late", "visitors", "lost", "rtt_p50_ms", "rtt_p95_ms"),
    *("down_tests", "down_mbps", "up_tests", "up_mbps"),
)
FIGURES = """
    WITH own AS (
        SELECT site_id, {started_at} AS started_at, network, visitor, count(*) AS results,
            count(flaw) AS flawed, count(*) FILTER (WHERE late) AS late,
            coalesce(sum(lost) FILTER (WHERE flaw IS NULL), 0) AS lost,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY rtt_us) FILTER (WHERE flaw IS NULL) AS p50_us,
            percentile_cont(0.95) WITHIN GROUP (ORDER BY rtt_us) FILTER (WHERE flaw IS NULL) AS p95_us,
            count(down_mbps) AS down_tests, percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps) AS down_mbps,
            count(up_mbps) AS up_tests, percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps) AS up_mbps
        FROM visit_result WHERE site_id = :site_id AND at >= :start AND at < :end
        GROUP BY 1, 2, 3, 4
    )
    SELECT site_id, started_at, network, sum(results)::int AS results, sum(flawed)::int AS flawed,
        sum(late)::int AS late, count(*) FILTER (WHERE results > flawed)::int AS visitors, sum(lost)::int AS lost,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p50_us) / 1000 AS rtt_p50_ms,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p95_us) / 1000 AS rtt_p95_ms,
        sum(down_tests)::int AS down_tests, percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps) AS down_mbps,
        sum(up_tests)::int AS up_tests, percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps) AS up_mbps
    FROM own GROUP BY site_id, started_at, network ORDER BY started_at, network
"""
WHOLE = "cast(:start AS timestamptz)"
KEEP = """
    INSERT INTO visit_figure (site_id, step, started_at, network, {fields})
    SELECT site_id, '{step}', started_at, network, {fields} FROM ({figures}) f
    ON CONFLICT (site_id, step, started_at, network) DO NOTHING
"""
OLD_SITES = text(f"""
    SELECT site_id, min(at) AS since FROM visit_result WHERE at < :before GROUP BY site_id LIMIT {SITES_AT_ONCE}
""")


def kept_since(now: datetime, retention_days: int) -> datetime:
    """Return from when on results are kept: whole months, so that a month's figures are never of a part of it."""
    return midnight(month_of(now - timedelta(days=retention_days)))


async def site_figures(
    session: AsyncSession, site_id: int, period: Period, step: Step, *, kept: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """Return rows by start and network, and those of the whole period by network: None where results are deleted."""
    start = max(period.start, kept)
    bounds = {"site_id": site_id, "start": start, "end": period.end}
    rows = await _stored(session, site_id, period, step, kept) if period.start < kept else []
    if start < period.end:
        rows += await _live(session, FIGURES.format(started_at=_bucket(step)), bounds)
    if period.start < kept:
        return rows, None
    return rows, await _live(session, FIGURES.format(started_at=WHOLE), bounds)


def _bucket(step: Step) -> str:
    return f"date_trunc('{step}', at, {WITA_SQL})"


async def _live(session: AsyncSession, query: str, bounds: dict[str, Any]) -> list[dict[str, Any]]:
    return [row._asdict() for row in await session.execute(text(query), bounds)]


async def _stored(
    session: AsyncSession, site_id: int, period: Period, step: Step, kept: datetime
) -> list[dict[str, Any]]:
    row = VisitFigure
    query = select(row.site_id, row.started_at, row.network, *(getattr(row, name) for name in FIELDS)).where(
        row.site_id == site_id,
        row.step == step,
        row.started_at >= period.start,
        row.started_at < min(period.end, kept),
    )
    return [dict(found._mapping) for found in await session.execute(query.order_by(row.started_at, row.network))]


async def delete_old(session: AsyncSession, now: datetime, *, retention_days: int) -> None:
    """Count the figures of some sites' old results, and delete these. Repeated until none is left."""
    before = kept_since(now, retention_days)
    for site_id, since in (await session.execute(OLD_SITES, {"before": before})).all():
        for step in Step:
            figures = FIGURES.format(started_at=_bucket(step))
            keep = KEEP.format(step=step, fields=", ".join(FIELDS), figures=figures)
            await session.execute(text(keep), {"site_id": site_id, "start": since, "end": before})
        await session.execute(delete(VisitResult).where(VisitResult.site_id == site_id, VisitResult.at < before))


def by_network(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any] | None]:
    """Return the figures of each class of network, None where there is none."""
    found = {VisitNetwork(row["network"]): row for row in rows}
    return {network.value: found.get(network) for network in VisitNetwork}
