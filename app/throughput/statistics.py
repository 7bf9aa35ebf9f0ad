"""What tests came to: of one site by its tests, of many by their sites. Medians are taken once, never averaged."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.aggregates.selection import SiteGroup
from app.core.clock import WITA
from app.core.periods import Period
from app.profiles import profiles
from app.registry.models import Site
from app.throughput.budget import MB, PUSH_BYTES, month_end
from app.throughput.models import ThroughputTest
from app.throughput.planner import allowance
from app.throughput.store import KNOWN_REQUESTS
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
        coalesce((SELECT requests FROM push_traffic WHERE site_id = :site_id AND month = :month), 0) AS requests
    FROM throughput_test WHERE site_id = :site_id AND month = :month
""")
# A site's own medians, the one definition of them: `GROUP` takes the sites' out of it, `of_sites` names the sites.
SITE_MEDIANS = """count(*) FILTER (WHERE status = 'done') AS tests,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps) FILTER (WHERE status = 'done') AS down,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps) FILTER (WHERE status = 'done') AS up,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps / nullif(contract_down_mbps, 0))
                FILTER (WHERE status = 'done') AS share,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY rtt_loaded_ms - rtt_idle_ms)
                FILTER (WHERE status = 'done') AS bloat"""
TESTED = """throughput_test t JOIN site s ON s.id = t.site_id AND s.kind = 'access_point'
        WHERE t.planned_at >= :start AND t.planned_at < :end"""
HALF = 0.5
# By the technology that a site was tested as, and of all; GROUPING SETS then take the sites' own.
GROUP = f"""
    WITH site_figure AS (
        SELECT t.site_id, t.technology, {SITE_MEDIANS}
        FROM {TESTED} {{chosen}}
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
# Of whole months, as they are paid: tests where the site was then, reports where it is now.
COST = """
    SELECT (
        SELECT coalesce(sum(t.down_bytes + t.up_bytes), 0)
        FROM throughput_test t JOIN site s ON s.id = t.site_id AND s.kind = 'access_point'
        WHERE t.month BETWEEN :first AND :last {chosen}
    ) AS tests, (
        SELECT coalesce(sum(p.bytes), 0)
        FROM push_traffic p JOIN site t ON t.id = p.site_id AND t.kind = 'access_point'
        WHERE p.month BETWEEN :first AND :last {chosen}
    ) AS push
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
NONE = dict.fromkeys(FIGURES) | {"sites": 0, "without_result": 0, "under_half": 0, "with_contract": 0, "tests": 0}


async def of_site(session: AsyncSession, site_id: int, period: Period) -> dict[str, Any]:
    bounds = {"site_id": site_id, "start": period.start, "end": period.end}
    return _rounded((await session.execute(TOTAL, bounds)).one()._asdict())


async def list_tests(
    session: AsyncSession, site_id: int, period: Period, *, before: datetime | None = None, limit: int | None = None
) -> list[ThroughputTest]:
    """The latest first."""
    test = ThroughputTest
    query = select(test).where(test.site_id == site_id, test.planned_at >= period.start, test.planned_at < period.end)
    if before is not None:
        query = query.where(test.planned_at < before)
    return list(await session.scalars(query.order_by(test.planned_at.desc()).limit(limit)))


async def budget(session: AsyncSession, site: Site, moment: datetime, now: datetime) -> dict[str, Any]:
    """Of the month of that moment; what pushing will still cost is asked of this month only."""
    month = _month(moment - timedelta(seconds=1))  # its end is not of it
    spent = (await session.execute(SPENT, {"site_id": site.id, "month": month})).one()
    allowed = allowance(profiles()[site.technology], site.speed_budget_mb, pushes=site.probe is ProbeKind.PUSH)
    each = spent.push / spent.requests if spent.requests >= KNOWN_REQUESTS else PUSH_BYTES
    to_come = allowed.pushes_bytes((month_end(month) - now).total_seconds(), each=float(each))
    left = allowed.monthly_bytes - int(spent.tests) - int(spent.reserved) - spent.push - to_come
    sizes = {
        "budget": allowed.monthly_bytes,
        "spent": int(spent.tests) + spent.push,
        "tests": int(spent.tests),
        "push": spent.push,
        "reserved": int(spent.reserved),
        "push_to_come": to_come,
        "left": max(0, left),
    }
    return {"month": month, **{f"{name}_mb": round(size / MB, 3) for name, size in sizes.items()}}


async def of_group(session: AsyncSession, of: SiteGroup, period: Period) -> dict[str, Any]:
    """By technology, and of all. A site counts where it was when it was tested."""
    chosen, values = chosen_tests(of)
    query = text(GROUP.format(chosen=chosen))
    rows = await session.execute(query, {**values, "start": period.start, "end": period.end})
    found = [_row(row._asdict()) for row in rows]
    return {
        "from": period.start,
        "to": period.end,
        "series": [row for row in found if row["technology"] is not None],
        "total": next((row for row in found if row["technology"] is None), _row({"technology": None, **NONE})),
        "cost": await _cost(session, of, period),
    }


async def _cost(session: AsyncSession, of: SiteGroup, period: Period) -> dict[str, Any]:
    chosen, values = chosen_tests(of)
    months = {"first": _month(period.start), "last": _month(period.end - timedelta(seconds=1))}
    spent = (await session.execute(text(COST.format(chosen=chosen)), values | months)).one()
    sizes = {"spent": spent.tests + spent.push, "tests": spent.tests, "push": spent.push}
    return {
        "first_month": months["first"],
        "last_month": months["last"],
        **{f"{name}_mb": round(int(size) / MB, 3) for name, size in sizes.items()},
    }


def _month(moment: datetime) -> date:
    return moment.astimezone(WITA).date().replace(day=1)


def chosen_tests(of: SiteGroup) -> tuple[str, dict[str, Any]]:
    """The selection's, as a condition on `t`."""
    chosen, values = "", dict[str, Any]()
    if of.region != PROVINCE:
        chosen += " AND (t.village_code = :region OR t.village_code ^@ (:region || '.'))"
        values["region"] = of.region
    if of.provider_id is not None:
        chosen += " AND t.provider_id = :provider_id"
        values["provider_id"] = of.provider_id
    if of.technology is not None:
        chosen += " AND t.technology = :technology"
        values["technology"] = of.technology.value
    return chosen, values


def _row(found: dict[str, Any]) -> dict[str, Any]:
    compared = found.pop("with_contract")
    return _rounded(found | {"under_half_pct": 100 * found["under_half"] / compared if compared else None})


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    """Without figures that noise alone makes: a link that is loaded answers no sooner."""
    rounded = found | {name: round(found[name], 3) for name in FIGURES if found.get(name) is not None}
    bloat_ms = rounded["bufferbloat_ms"]
    return rounded | {"bufferbloat_ms": None if bloat_ms is None else max(0.0, bloat_ms)}
