"""List the sites behind a group's figures, worst share of the contract first."""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, select, text, tuple_
from sqlalchemy import types as sql
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller, visible_to
from app.aggregates.selection import SiteGroup
from app.core.periods import Period
from app.registry.models import Provider, Site
from app.throughput.budget import MB
from app.throughput.statistics import HALF, SITE_MEDIANS, TESTED, test_condition

PagePosition = tuple[float, float, int, str]  # share, rate, site id, technology; NO_RESULT where there is none
NO_RESULT = math.inf


@dataclass(frozen=True, slots=True)
class CallerSiteGroup(SiteGroup):
    """A site group with the caller's scope: sites are listed by name, so a cached response belongs to one scope."""

    caller_region: str = PROVINCE
    caller_provider: int | None = None


def with_scope(of: SiteGroup, *, caller: Caller) -> CallerSiteGroup:
    return CallerSiteGroup(
        of.region, of.provider_id, of.technology, of.provider, caller.region_code, caller.provider_id
    )


# A site that was tested with two technologies is listed with each, as it counts in a group's series.
SITES = f"""
    SELECT t.site_id, t.technology, {SITE_MEDIANS}, sum(down_bytes + up_bytes) AS bytes,
        max(coalesce(t.started_at, t.planned_at)) FILTER (WHERE status = 'done') AS last_test_at,
        (array_agg(t.provider_id ORDER BY t.planned_at DESC))[1] AS provider_id,
        (array_agg(t.village_code ORDER BY t.planned_at DESC))[1] AS village_code,
        (array_agg(t.contract_down_mbps ORDER BY t.planned_at DESC))[1] AS contract_down_mbps
    FROM {TESTED} {{condition}}
    GROUP BY t.site_id, t.technology
"""
COLUMNS: dict[str, Any] = {
    "site_id": sql.Integer,
    "technology": sql.Text,
    "tests": sql.Integer,
    "down": sql.Double,
    "up": sql.Double,
    "share": sql.Double,
    "bytes": sql.Numeric,
    "last_test_at": sql.DateTime(timezone=True),
    "provider_id": sql.Integer,
    "village_code": sql.Text,
    "contract_down_mbps": sql.Double,
}


async def list_sites(
    session: AsyncSession,
    of: SiteGroup,
    period: Period,
    *,
    caller: Caller,
    under_pct: float | None,
    after: PagePosition | None,
    limit: int | None,
) -> list[dict[str, Any]]:
    """Sites without a contract or a result come last."""
    query, values = _query(of, period, caller, under_pct, after)
    rows = await session.execute(query.limit(limit), values)
    return [_present(row) for row in rows]


def _query(
    of: SiteGroup, period: Period, caller: Caller, under_pct: float | None, after: PagePosition | None
) -> tuple[Select[Any], dict[str, Any]]:
    condition, values = test_condition(of)
    results = text(SITES.format(condition=condition)).columns(**COLUMNS).subquery()
    position = (
        func.coalesce(results.c.share, literal(NO_RESULT, sql.Double)),
        func.coalesce(results.c.down, literal(NO_RESULT, sql.Double)),
        results.c.site_id,
        results.c.technology,
    )
    conditions: list[ColumnElement[bool]] = [visible_to(caller, Site)]
    if under_pct is not None:
        conditions.append(results.c.share < under_pct / 100)
    if after is not None:
        kinds = (sql.Double, sql.Double, sql.Integer, sql.Text)
        conditions.append(tuple_(*position) > tuple_(*map(literal, after, kinds)))
    query = (
        select(results, Site.code, Site.name, Provider.slug.label("provider"))
        .join(Site, Site.id == results.c.site_id)
        .join(Provider, Provider.id == results.c.provider_id)
        .where(and_(*conditions))
        .order_by(*position)
    )
    return query, {**values, "start": period.start, "end": period.end}


def _present(row: Any) -> dict[str, Any]:
    return {
        **{
            name: getattr(row, name)
            for name in (
                "site_id",
                "code",
                "name",
                "village_code",
                "technology",
                "provider",
                "tests",
                "contract_down_mbps",
                "last_test_at",
            )
        },
        "down_mbps": row.down,
        "up_mbps": row.up,
        "share_pct": None if row.share is None else 100 * row.share,
        "under_half": row.share is not None and row.share < HALF,
        "spent_mb": int(row.bytes) / MB,
        "position": (
            NO_RESULT if row.share is None else row.share,
            NO_RESULT if row.down is None else row.down,
            row.site_id,
            row.technology,
        ),
    }
