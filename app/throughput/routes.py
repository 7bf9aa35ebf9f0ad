from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.aggregates import csv_export, selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateRequest, AggregateSpec, OutputFormat, aggregate_responses
from app.aggregates.params import ProviderFilter, RegionPath, TechnologyFilter
from app.aggregates.selection import SingleSite, SiteGroup
from app.core.clock import parse_moment, utc_now
from app.core.periods import Period
from app.profiles import Technology
from app.registry.models import Site
from app.registry.params import ProviderId, RegionCode, SiteId
from app.throughput import site_results, statistics
from app.throughput.schemas import GroupThroughputOut, SitesThroughputOut, SiteThroughputOut
from app.web.deps import Reader
from app.web.pagination import cursor_codec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import Asked

router = APIRouter()

OF_SITE = AggregateSpec(AggregateKind.THROUGHPUT, SiteThroughputOut, "kecepatan", csv_export.items_csv, paged=True)
OF_GROUP = AggregateSpec(AggregateKind.THROUGHPUT, GroupThroughputOut, "kecepatan")
OF_SITES = AggregateSpec(
    AggregateKind.THROUGHPUT, SitesThroughputOut, "kecepatan-titik-akses", csv_export.items_csv, paged=True
)

BY_PLANNED_AT = cursor_codec(parse_moment)
BY_SHARE = cursor_codec(float, float, row_id, lambda text: Technology(text).value)
UnderPct = Annotated[
    float | None, Query(gt=0, le=1000, description="only sites that deliver less than this share of their contract")
]


@router.get(
    "/sites/{id}/throughput", response_model=SiteThroughputOut, responses=aggregate_responses(404), tags=["one site"]
)
async def get_throughput(
    aggregate: Aggregate, caller: Reader, id: SiteId, period: Asked, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Tests of the site's speed, each with what it found and cost, or why there was none; and what is left to spend.

    CSV has the tests alone.
    """
    before = BY_PLANNED_AT.read(cursor)
    most = None if aggregate.format is OutputFormat.CSV else limit
    return await aggregate.respond(
        OF_SITE,
        period,
        lambda session: selection.select_site(session, id, caller=caller),
        lambda session, of: _of_site(session, of, period, before, most),
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
    period: Asked,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
) -> Response:
    """Of a region's access points, by technology: each site by the median of its tests, then the sites' median and p10.

    A site counts for the region, provider and technology that it had when it was tested. Which sites these are is told
    by `/throughput/sites` below it.
    """

    async def select(session: AsyncSession) -> SiteGroup:
        return await selection.select_region(session, code, provider, technology, caller=caller)

    return await aggregate.respond(
        OF_GROUP, period, select, lambda session, of: statistics.of_group(session, of, period)
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
    period: Asked,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
) -> Response:
    """Of a provider's access points within your region, as above."""

    async def select(session: AsyncSession) -> SiteGroup:
        return await selection.select_provider(session, id, region, technology, caller=caller)

    return await aggregate.respond(
        OF_GROUP, period, select, lambda session, of: statistics.of_group(session, of, period)
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
    period: Asked,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
    under_pct: UnderPct = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Who delivers less than the contract: each access point of a region that was to be tested, the worst share first.

    `under_pct=50` leaves those that `under_half` counts. A site that has left your scope since is not told.
    """

    async def select(session: AsyncSession) -> SiteGroup:
        of = await selection.select_region(session, code, provider, technology, caller=caller)
        return site_results.listed(of, caller=caller)

    return await aggregate.respond(
        OF_SITES, period, select, _listing(aggregate, caller, period, under_pct, limit, cursor)
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
    period: Asked,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
    under_pct: UnderPct = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Of a provider's access points within your region, as above."""

    async def select(session: AsyncSession) -> SiteGroup:
        of = await selection.select_provider(session, id, region, technology, caller=caller)
        return site_results.listed(of, caller=caller)

    return await aggregate.respond(
        OF_SITES, period, select, _listing(aggregate, caller, period, under_pct, limit, cursor)
    )


def _listing(
    aggregate: AggregateRequest, caller: Caller, period: Period, under_pct: float | None, limit: int, cursor: str | None
) -> Callable[[AsyncSession, SiteGroup], Awaitable[dict[str, Any]]]:
    after = BY_SHARE.read(cursor)

    async def listed(session: AsyncSession, of: SiteGroup) -> dict[str, Any]:
        whole = aggregate.format is OutputFormat.CSV
        rows = await site_results.list_sites(
            session, of, period, caller=caller, under_pct=under_pct, after=after, limit=None if whole else limit + 1
        )
        items, next_cursor = BY_SHARE.page(rows, len(rows) if whole else limit, lambda row: row["place"])
        return {"from": period.start, "to": period.end, "items": items, "next_cursor": next_cursor}

    return listed


async def _of_site(
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
        "total": await statistics.of_site(session, site.id, period),
        "budget": await statistics.budget(session, site, period.end, utc_now()),
    }
