from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.aggregates import selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateRequest, AggregateSpec, aggregate_responses
from app.aggregates.params import ProviderFilter, TechnologyFilter
from app.aggregates.selection import SingleSite, SiteGroup
from app.aggregates.series_tables import group_table
from app.core.clock import parse_moment, utc_now
from app.core.periods import Period
from app.profiles import Technology
from app.registry.models import Site
from app.registry.params import ProviderId, RegionCode, RegionPath, SiteId
from app.throughput import columns, month_budgets, site_results, statistics
from app.throughput.schemas import BudgetsOut, GroupThroughputOut, SitesThroughputOut, SiteThroughputOut
from app.web.deps import Reader, Session
from app.web.pagination import cursor_codec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter()

OF_SITE = AggregateSpec(AggregateKind.THROUGHPUT, SiteThroughputOut, "kecepatan", columns.tests_table, paged=True)
OF_GROUP = AggregateSpec(
    AggregateKind.THROUGHPUT,
    GroupThroughputOut,
    "kecepatan",
    partial(group_table, what=columns.WHAT, columns=columns.GROUP_COLUMNS),
)
OF_SITES = AggregateSpec(
    AggregateKind.THROUGHPUT, SitesThroughputOut, "kecepatan-titik-akses", columns.sites_table, paged=True
)

BY_PLANNED_AT = cursor_codec(parse_moment)
BY_SHARE = cursor_codec(float, float, row_id, lambda text: Technology(text).value)
UnderPct = Annotated[
    float | None,
    Query(
        gt=0, le=1000, description="only sites below this share of their contracted download, percent", examples=[50]
    ),
]


@router.get(
    "/sites/{id}/throughput", response_model=SiteThroughputOut, responses=aggregate_responses(404), tags=["one site"]
)
async def get_site_throughput(
    aggregate: Aggregate, caller: Reader, id: SiteId, period: PeriodParam, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Throughput of one site.

    Its speed tests, each with its result and cost or why it did not run; totals, and the month's budget. A file holds
    the tests alone.
    """
    before = BY_PLANNED_AT.read(cursor)
    most = None if aggregate.is_file else limit
    return await aggregate.respond(
        OF_SITE,
        period,
        lambda session: selection.select_site(session, id, caller=caller),
        lambda session, of: _site_throughput(session, of, period, before, most),
    )


@router.get(
    "/regions/{code}/throughput",
    response_model=GroupThroughputOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def get_region_throughput(
    aggregate: Aggregate,
    caller: Reader,
    code: RegionPath,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
) -> Response:
    """Throughput of a region.

    By technology: the median and p10 of its access points, each by its tests' median. A site counts for the region,
    provider and technology that it had when it was tested. `/throughput/sites` lists the sites.
    """

    async def select(session: AsyncSession) -> SiteGroup:
        return await selection.select_region(session, code, provider, technology, caller=caller)

    return await aggregate.respond(
        OF_GROUP, period, select, lambda session, of: statistics.group_statistics(session, of, period)
    )


@router.get(
    "/providers/{id}/throughput",
    response_model=GroupThroughputOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def get_provider_throughput(
    aggregate: Aggregate,
    caller: Reader,
    id: ProviderId,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
) -> Response:
    """Throughput of a provider.

    Of its access points in your scope, as for a region.
    """

    async def select(session: AsyncSession) -> SiteGroup:
        return await selection.select_provider(session, id, region, technology, caller=caller)

    return await aggregate.respond(
        OF_GROUP, period, select, lambda session, of: statistics.group_statistics(session, of, period)
    )


@router.get(
    "/regions/{code}/throughput/sites",
    response_model=SitesThroughputOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def list_region_throughput(
    aggregate: Aggregate,
    caller: Reader,
    code: RegionPath,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
    under_pct: UnderPct = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Throughput of a region's sites, one by one.

    By their share of the contracted speed, worst first. `under_pct=50` lists those that `under_half` counts. A site
    that has left your scope since is not listed.
    """

    async def select(session: AsyncSession) -> SiteGroup:
        of = await selection.select_region(session, code, provider, technology, caller=caller)
        return site_results.with_scope(of, caller=caller)

    return await aggregate.respond(
        OF_SITES, period, select, _page_loader(aggregate, caller, period, under_pct, limit, cursor)
    )


@router.get(
    "/providers/{id}/throughput/sites",
    response_model=SitesThroughputOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def list_provider_throughput(
    aggregate: Aggregate,
    caller: Reader,
    id: ProviderId,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
    under_pct: UnderPct = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Throughput of a provider's sites, one by one.

    Of its access points in your scope, as for a region.
    """

    async def select(session: AsyncSession) -> SiteGroup:
        of = await selection.select_provider(session, id, region, technology, caller=caller)
        return site_results.with_scope(of, caller=caller)

    return await aggregate.respond(
        OF_SITES, period, select, _page_loader(aggregate, caller, period, under_pct, limit, cursor)
    )


@router.get("/throughput/budgets", response_model=BudgetsOut, responses=problems(403), tags=["aggregates"])
async def list_budgets(session: Session, caller: Reader, region: RegionCode = None, limit: Limit = 100) -> Any:
    """This month's data budgets.

    What measuring costs the sites within your scope: sums by technology, and the sites nearest to the end of theirs.
    """
    return await month_budgets.list_budgets(session, caller=caller, region=region, limit=limit, now=utc_now())


def _page_loader(
    aggregate: AggregateRequest, caller: Caller, period: Period, under_pct: float | None, limit: int, cursor: str | None
) -> Callable[[AsyncSession, SiteGroup], Awaitable[dict[str, Any]]]:
    after = BY_SHARE.read(cursor)

    async def list_page(session: AsyncSession, of: SiteGroup) -> dict[str, Any]:
        all_rows = aggregate.is_file
        rows = await site_results.list_sites(
            session, of, period, caller=caller, under_pct=under_pct, after=after, limit=None if all_rows else limit + 1
        )
        items, next_cursor = BY_SHARE.page(rows, len(rows) if all_rows else limit, lambda row: row["position"])
        return {"from": period.start, "to": period.end, "items": items, "next_cursor": next_cursor}

    return list_page


async def _site_throughput(
    session: AsyncSession, of: SingleSite, period: Period, before: datetime | None, limit: int | None
) -> dict[str, Any]:
    site = await session.get_one(Site, of.site_id)
    most = None if limit is None else limit + 1
    tests = await statistics.list_tests(session, site.id, period, before=before, limit=most)
    items, next_cursor = BY_PLANNED_AT.page(tests, limit or len(tests), lambda test: test.planned_at)
    return {
        "from": period.start,
        "to": period.end,
        "items": items,
        "next_cursor": next_cursor,
        "total": await statistics.site_total(session, site.id, period),
        "budget": await statistics.budget_of_month(session, site, period.end, utc_now()),
    }
