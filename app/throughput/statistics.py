"""Figures of speed tests: of one site from its tests, of a group from its sites' medians. Nothing is averaged twice."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.aggregates.selection import SiteGroup
from app.core.clock import WITA_SQL, month_of
from app.core.periods import Period
from app.profiles import profiles
from app.registry.models import Site, SiteConfiguration
from app.throughput.budget import MB, month_end, push_bytes
from app.throughput.models import ThroughputTest
from app.throughput.planner import allowance
from probes.contract import ProbeKind

MEASURED = "FILTER (WHERE status = 'done')"
TOTAL = text(f"""
    SELECT count(*) AS planned, count(*) {MEASURED} AS done,
        count(*) FILTER (WHERE status = 'invalid') AS invalid, count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'skipped') AS skipped,
        count(*) FILTER (WHERE status IN ('waiting', 'running')) AS open,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps) {MEASURED} AS down_mbps,
        percentile_cont(0.1) WITHIN GROUP (ORDER BY down_mbps) {MEASURED} AS down_p10_mbps,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps) {MEASURED} AS up_mbps,
        percentile_cont(0.1) WITHIN GROUP (ORDER BY up_mbps) {MEASURED} AS up_p10_mbps,
        100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps / nullif(contract_down_mbps, 0)) {MEASURED}
            AS down_of_contract_pct,
        100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps / nullif(contract_up_mbps, 0)) {MEASURED}
            AS up_of_contract_pct,
        count(*) FILTER (WHERE status = 'done' AND down_mbps < contract_down_mbps / 2) AS under_half,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY rtt_loaded_ms - rtt_idle_ms) {MEASURED} AS bufferbloat_ms
    FROM throughput_test WHERE site_id = :site_id AND planned_at >= :start AND planned_at < :end
""")
SPENT = text("""
    SELECT coalesce(sum(down_bytes + up_bytes), 0) AS tests, coalesce(sum(reserved_bytes), 0) AS reserved,
        coalesce((SELECT bytes FROM push_traffic WHERE site_id = :site_id AND month = :month), 0) AS push,
        coalesce((SELECT requests FROM push_traffic WHERE site_id = :site_id AND month = :month), 0) AS requests,
        coalesce((SELECT bytes FROM visit_traffic WHERE site_id = :site_id AND month = :month), 0) AS visits,
        coalesce((SELECT reserved_bytes FROM visit_traffic WHERE site_id = :site_id AND month = :month), 0)
            AS visits_reserved
    FROM throughput_test WHERE site_id = :site_id AND month = :month
""")
# A site's own medians: `GROUP` aggregates them, `site_results` lists them by site.
SITE_MEDIANS = """count(*) FILTER (WHERE status = 'done') AS tests,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps) FILTER (WHERE status = 'done') AS down,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps) FILTER (WHERE status = 'done') AS up,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps / nullif(contract_down_mbps, 0))
                FILTER (WHERE status = 'done') AS share,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY rtt_loaded_ms - rtt_idle_ms)
                FILTER (WHERE status = 'done') AS bloat"""
WAS_ACCESS_POINT = """NOT EXISTS (
            SELECT FROM site_configuration c WHERE c.site_id = t.site_id AND c.kind = 'node'
                AND t.planned_at >= c.started_at AND t.planned_at < coalesce(c.ended_at, 'infinity')
        )"""
TESTED = f"""throughput_test t WHERE {WAS_ACCESS_POINT}
        AND t.planned_at >= :start AND t.planned_at < :end"""
HALF = 0.5
# By the technology that a site had when it was tested, and of all technologies.
GROUP = f"""
    WITH site_figure AS (
        SELECT t.site_id, t.technology, {SITE_MEDIANS}
        FROM {TESTED} {{condition}}
        GROUP BY GROUPING SETS ((t.site_id, t.technology), (t.site_id))
    )
    SELECT technology, count(*) FILTER (WHERE tests > 0) AS sites, count(*) FILTER (WHERE tests = 0) AS without_result,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY down) AS down_mbps,
        percentile_cont(0.1) WITHIN GROUP (ORDER BY down) AS down_p10_mbps,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY up) AS up_mbps,
        percentile_cont(0.1) WITHIN GROUP (ORDER BY up) AS up_p10_mbps,
        100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY share) AS down_of_contract_pct,
        count(*) FILTER (WHERE share < {HALF}) AS under_half, count(share) AS with_contract,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY bloat) AS bufferbloat_ms, coalesce(sum(tests), 0) AS tests
    FROM site_figure GROUP BY technology ORDER BY technology
"""
# Whole months, as budgets are: tests by the site's region at the time, pushes and visitors by that at the month's end.
AT_MONTHS_END = f"""SELECT coalesce(sum(p.bytes), 0)
        FROM {{table}} p, LATERAL (
            SELECT c.* FROM site_configuration c
            WHERE c.site_id = p.site_id AND c.started_at < (p.month + interval '1 month') AT TIME ZONE {WITA_SQL}
            ORDER BY c.started_at DESC LIMIT 1
        ) t
        WHERE p.month BETWEEN :first AND :last AND t.kind = 'access_point' {{condition}}"""
COST = f"""
    SELECT (
        SELECT coalesce(sum(t.down_bytes + t.up_bytes), 0)
        FROM throughput_test t WHERE {WAS_ACCESS_POINT} AND t.month BETWEEN :first AND :last {{condition}}
    ) AS tests, (
        {AT_MONTHS_END.format(table="push_traffic", condition="{condition}")}
    ) AS push, (
        {AT_MONTHS_END.format(table="visit_traffic", condition="{condition}")}
    ) AS visits
"""
FIGURES = (
    "down_mbps",
    "down_p10_mbps",
    "up_mbps",
    "up_p10_mbps",
    "down_of_contract_pct",
    "up_of_contract_pct",
    "under_half_pct",
    "bufferbloat_ms",
)
NO_FIGURES = dict.fromkeys(FIGURES) | {"sites": 0, "without_result": 0, "under_half": 0, "with_contract": 0, "tests": 0}


async def site_total(session: AsyncSession, site_id: int, period: Period) -> dict[str, Any]:
    bounds = {"site_id": site_id, "start": period.start, "end": period.end}
    return _rounded((await session.execute(TOTAL, bounds)).one()._asdict())


async def list_tests(
    session: AsyncSession, site_id: int, period: Period, *, before: datetime | None = None, limit: int | None = None
) -> list[ThroughputTest]:
    """Latest first."""
    test = ThroughputTest
    query = select(test).where(test.site_id == site_id, test.planned_at >= period.start, test.planned_at < period.end)
    if before is not None:
        query = query.where(test.planned_at < before)
    return list(await session.scalars(query.order_by(test.planned_at.desc()).limit(limit)))


async def budget_of_month(session: AsyncSession, site: Site, moment: datetime, now: datetime) -> dict[str, Any]:
    """Return the budget, in MB, of the month that contains or ends at `moment`, by the configuration at its end.

    Pushes to come count from `now` on, so they are 0 for a past month.
    """
    month = month_of(moment - timedelta(seconds=1))
    spent = (await session.execute(SPENT, {"site_id": site.id, "month": month})).one()
    configured = await _configured_before(session, site, month_end(month))
    pushes = configured.probe is ProbeKind.PUSH
    allowed = allowance(profiles()[configured.technology], configured.speed_budget_mb, pushes=pushes)
    each = push_bytes(spent.push, spent.requests)
    to_come = allowed.pushes_bytes((month_end(month) - now).total_seconds(), each=each)
    reserved = int(spent.reserved) + spent.visits_reserved
    used = int(spent.tests) + spent.push + spent.visits
    sizes = {
        "budget": allowed.monthly_bytes,
        "spent": used,
        "tests": int(spent.tests),
        "push": spent.push,
        "visits": spent.visits,
        "reserved": reserved,
        "push_to_come": to_come,
        "left": max(0, allowed.monthly_bytes - used - reserved - to_come),
    }
    return {"month": month, **{f"{name}_mb": round(size / MB, 3) for name, size in sizes.items()}}


async def _configured_before(session: AsyncSession, site: Site, moment: datetime) -> Site | SiteConfiguration:
    """Return the last configuration that started before `moment`; the site as it is for a time before its first."""
    dated = SiteConfiguration
    query = select(dated).where(dated.site_id == site.id, dated.started_at < moment)
    return await session.scalar(query.order_by(dated.started_at.desc()).limit(1)) or site


async def group_statistics(session: AsyncSession, of: SiteGroup, period: Period) -> dict[str, Any]:
    """Return figures by technology and of all; a site counts by its region and provider at the time of a test."""
    condition, values = test_condition(of)
    query = text(GROUP.format(condition=condition))
    rows = await session.execute(query, {**values, "start": period.start, "end": period.end})
    figures = [_group_row(row._asdict()) for row in rows]
    return {
        "from": period.start,
        "to": period.end,
        "series": [row for row in figures if row["technology"] is not None],
        "total": next(
            (row for row in figures if row["technology"] is None), _group_row({"technology": None, **NO_FIGURES})
        ),
        "cost": await _cost(session, of, period),
    }


async def _cost(session: AsyncSession, of: SiteGroup, period: Period) -> dict[str, Any]:
    condition, values = test_condition(of)
    months = {"first": month_of(period.start), "last": month_of(period.end - timedelta(seconds=1))}
    spent = (await session.execute(text(COST.format(condition=condition)), values | months)).one()
    sizes = {
        "spent": spent.tests + spent.push + spent.visits,
        "tests": spent.tests,
        "push": spent.push,
        "visits": spent.visits,
    }
    return {
        "first_month": months["first"],
        "last_month": months["last"],
        **{f"{name}_mb": round(int(size) / MB, 3) for name, size in sizes.items()},
    }


def test_condition(of: SiteGroup) -> tuple[str, dict[str, Any]]:
    """Return the site group as an SQL condition on `t`, with its parameters."""
    condition, values = "", dict[str, Any]()
    if of.region != PROVINCE:
        condition += " AND (t.village_code = :region OR t.village_code ^@ (:region || '.'))"
        values["region"] = of.region
    if of.provider_id is not None:
        condition += " AND t.provider_id = :provider_id"
        values["provider_id"] = of.provider_id
    if of.technology is not None:
        condition += " AND t.technology = :technology"
        values["technology"] = of.technology.value
    return condition, values


def _group_row(figures: dict[str, Any]) -> dict[str, Any]:
    compared = figures.pop("with_contract")
    return _rounded(figures | {"under_half_pct": 100 * figures["under_half"] / compared if compared else None})


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Round to three decimals; a negative bufferbloat is noise and becomes 0."""
    rounded = figures | {name: round(figures[name], 3) for name in FIGURES if figures.get(name) is not None}
    bloat_ms = rounded["bufferbloat_ms"]
    return rounded | {"bufferbloat_ms": None if bloat_ms is None else max(0.0, bloat_ms)}
