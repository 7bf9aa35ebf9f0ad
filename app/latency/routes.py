from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateSpec, aggregate_responses
from app.aggregates.params import ProviderFilter, TechnologyFilter
from app.aggregates.selection import SingleSite, SiteGroup
from app.aggregates.series_tables import group_table, site_table
from app.core.periods import Period, Step, resolve_step
from app.core.tables import Text
from app.latency import store
from app.latency.columns import GROUP_COLUMNS, SITE_COLUMNS
from app.latency.schemas import GroupLatencyOut, SiteLatencyOut
from app.registry.params import ProviderId, RegionCode, RegionPath, SiteId
from app.web.deps import Reader
from app.web.period_params import PeriodParam

router = APIRouter()

VantageNumber = Annotated[
    int | None,
    Query(ge=0, le=8, description="number of the vantage whose readings to count; none: the primary", examples=[1]),
]

LATENCY = Text("Latensi", "Latency of")
SITE_LATENCY = AggregateSpec(
    AggregateKind.LATENCY, SiteLatencyOut, "latensi", partial(site_table, what=LATENCY, columns=SITE_COLUMNS)
)
GROUP_LATENCY = AggregateSpec(
    AggregateKind.LATENCY, GroupLatencyOut, "latensi", partial(group_table, what=LATENCY, columns=GROUP_COLUMNS)
)


def _reader(
    period: Period, step: Step | None
) -> Callable[[AsyncSession, SingleSite | SiteGroup], Awaitable[dict[str, Any]]]:
    chosen = resolve_step(period, step)
    return lambda session, sites: store.read_latency(session, sites, period, chosen)


@router.get("/sites/{id}/latency", response_model=SiteLatencyOut, responses=aggregate_responses(404), tags=["one site"])
async def get_site_latency(
    aggregate: Aggregate,
    caller: Reader,
    id: SiteId,
    period: PeriodParam,
    step: Step | None = None,
    vantage: VantageNumber = None,
) -> Response:
    """Latency of one site.

    Round-trip times of its answered packets, and the share of packets that were lost. Where single readings are no
    longer kept, `from` and `to` are widened to whole hours. Where several vantages look at the site, these are its
    primary's readings; another one's are there as long as single readings are.
    """
    chosen = resolve_step(period, step)
    return await aggregate.respond(
        SITE_LATENCY,
        period,
        lambda session: selection.select_site(session, id, caller=caller),
        lambda session, site: store.read_vantage_latency(session, site, period, chosen, vantage=vantage),
    )


@router.get(
    "/regions/{code}/latency",
    response_model=GroupLatencyOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def get_region_latency(
    aggregate: Aggregate,
    caller: Reader,
    code: RegionPath,
    period: PeriodParam,
    step: Step | None = None,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
) -> Response:
    """Latency of a region.

    Over all packets of its access points. Filter by technology: fibre and GEO mixed describe neither. A site counts for
    the provider and the technology that it had at the end of each day.
    """
    return await aggregate.respond(
        GROUP_LATENCY,
        period,
        lambda session: selection.select_region(session, code, provider, technology, caller=caller),
        _reader(period, step),
    )


@router.get(
    "/providers/{id}/latency",
    response_model=GroupLatencyOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def get_provider_latency(
    aggregate: Aggregate,
    caller: Reader,
    id: ProviderId,
    period: PeriodParam,
    step: Step | None = None,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
) -> Response:
    """Latency of a provider.

    Over all packets of its access points in your region. Filter by technology to compare.
    """
    return await aggregate.respond(
        GROUP_LATENCY,
        period,
        lambda session: selection.select_provider(session, id, region, technology, caller=caller),
        _reader(period, step),
    )
