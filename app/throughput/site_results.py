"""Which sites the figures of many are made of, by name: the worst share of the contract first."""

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
from app.throughput.statistics import HALF, SITE_MEDIANS, TESTED, chosen_tests

Place = tuple[float, float, int, str]  # share and rate, infinite where there is none; site, technology
NOWHERE = math.inf


@dataclass(frozen=True, slots=True)
class Listed(SiteGroup):
    """With how far the caller reaches: it is told sites by name, and another's answer is not this one's."""

    caller_region: str = PROVINCE
    caller_provider: int | None = None


def listed(of: SiteGroup, *, caller: Caller) -> Listed:
    return Listed(of.region, of.provider_id, of.technology, caller.region_code, caller.provider_id)


# As in a group's series: a site that was tested as two technologies is there as both.
SITES = f"""
    SELECT t.site_id, t.technology, {SITE_MEDIANS}, sum(down_bytes + up_bytes) AS bytes,
        max(coalesce(t.started_at, t.planned_at)) FILTER (WHERE status = 'done') AS last_test_at,
        (array_agg(t.provider_id ORDER BY t.planned_at DESC))[1] AS provider_id,
        (array_agg(t.village_code ORDER BY t.planned_at DESC))[1] AS village_code,
        (array_agg(t.contract_down_mbps ORDER BY t.planned_at DESC))[1] AS contract_down_mbps
    FROM {TESTED} {{chosen}}
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
    after: Place | None,
    limit: int | None,
) -> list[dict[str, Any]]:
    """Those without a contract or without a result come last."""
    query, values = _asked(of, period, caller, under_pct, after)
    rows = await session.execute(query.limit(limit), values)
    return [_present(row) for row in rows]


def _asked(
    of: SiteGroup, period: Period, caller: Caller, under_pct: float | None, after: Place | None
) -> tuple[Select[Any], dict[str, Any]]:
    chosen, values = chosen_tests(of)
    found = text(SITES.format(chosen=chosen)).columns(**COLUMNS).subquery()
    place = (
        func.coalesce(found.c.share, literal(NOWHERE, sql.Double)),
        func.coalesce(found.c.down, literal(NOWHERE, sql.Double)),
        found.c.site_id,
        found.c.technology,
    )
    wanted: list[ColumnElement[bool]] = [visible_to(caller, Site)]
    if under_pct is not None:
        wanted.append(found.c.share < under_pct / 100)
    if after is not None:
        kinds = (sql.Double, sql.Double, sql.Integer, sql.Text)
        wanted.append(tuple_(*place) > tuple_(*map(literal, after, kinds)))
    query = (
        select(found, Site.code, Site.name, Provider.slug.label("provider"))
        .join(Site, Site.id == found.c.site_id)
        .join(Provider, Provider.id == found.c.provider_id)
        .where(and_(*wanted))
        .order_by(*place)
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
        "place": (
            NOWHERE if row.share is None else row.share,
            NOWHERE if row.down is None else row.down,
            row.site_id,
            row.technology,
        ),
    }
