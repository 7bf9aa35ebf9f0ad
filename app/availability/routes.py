from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateSpec, OutputFormat, aggregate_responses
from app.aggregates.params import ProviderFilter, RegionPath, TechnologyFilter
from app.aggregates.selection import SingleSite, SiteGroup
from app.availability import ranking
from app.availability.group_schemas import By, Order, RankingOut, SumUptimeOut
from app.availability.group_uptime import uptime
from app.availability.schemas import UptimeOut
from app.availability.site_uptime import uptime as uptime_of_site
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.core.periods import Period, Step, resolve_step
from app.registry.models import Level, Site
from app.registry.params import ProviderId, RegionCode, SiteId
from app.web.deps import Reader
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import PeriodParam

router = APIRouter(tags=["aggregates"])

SITE_UPTIME = AggregateSpec(AggregateKind.AVAILABILITY, UptimeOut, "ketersediaan")
GROUP_UPTIME = AggregateSpec(AggregateKind.AVAILABILITY, SumUptimeOut, "ketersediaan")
RANKING = AggregateSpec(AggregateKind.AVAILABILITY, RankingOut, "peringkat", ranking.as_csv, paged=True)
BY_RANK = PeriodCursorCodec(row_id)


@router.get("/sites/{id}/uptime", response_model=UptimeOut, responses=aggregate_responses(404), tags=["one site"])
async def get_uptime(
    aggregate: Aggregate, caller: Reader, id: SiteId, period: PeriodParam, step: Step | None = None
) -> Response:
    """Seconds of every state, and the percentages with their bounds. Days and months are cut in WITA."""
    chosen = resolve_step(period, step)

    async def count(session: AsyncSession, of: SingleSite) -> dict[str, Any]:
        site = await session.get_one(Site, of.site_id)
        return await uptime_of_site(session, site, period, chosen, now=utc_now())

    return await aggregate.respond(
        SITE_UPTIME, period, lambda session: selection.select_site(session, id, caller=caller), count
    )


def _counting(period: Period, step: Step | None) -> Callable[[AsyncSession, SiteGroup], Awaitable[dict[str, Any]]]:
    chosen = resolve_step(period, step)
    return lambda session, of: uptime(session, of, period, chosen, now=utc_now())


@router.get("/regions/{code}/uptime", response_model=SumUptimeOut, responses=aggregate_responses(403, 404))
async def get_region_uptime(
    aggregate: Aggregate,
    caller: Reader,
    code: RegionPath,
    period: PeriodParam,
    step: Step | None = None,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
) -> Response:
    """Seconds of all access points of a region together; nodes are never counted."""
    return await aggregate.respond(
        GROUP_UPTIME,
        period,
        lambda session: selection.select_region(session, code, provider, technology, caller=caller),
        _counting(period, step),
    )


@router.get("/providers/{id}/uptime", response_model=SumUptimeOut, responses=aggregate_responses(403, 404))
async def get_provider_uptime(
    aggregate: Aggregate,
    caller: Reader,
    id: ProviderId,
    period: PeriodParam,
    step: Step | None = None,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
) -> Response:
    """Seconds of a provider's access points together, each for as long as it was this provider's."""
    return await aggregate.respond(
        GROUP_UPTIME,
        period,
        lambda session: selection.select_provider(session, id, region, technology, caller=caller),
        _counting(period, step),
    )


@router.get("/ranking", response_model=RankingOut, responses=aggregate_responses(403))
async def get_ranking(
    aggregate: Aggregate,
    caller: Reader,
    by: By,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
    level: Annotated[Level | None, Query(description="with by=region; default kabupaten_kota")] = None,
    min_coverage_pct: Annotated[float, Query(ge=0, le=100, allow_inf_nan=False)] = 80,
    order: Order = Order.BEST,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """By uptime, inside one technology only: each item is ranked among those of its own technology."""
    if level is not None and by is not By.REGION:
        raise Invalid(
            Fault("level", "only_with_regions", "Only regions have a level", "Ask with by=region, or leave it out")
        )
    whole, first = BY_RANK.resume(cursor, period, 0)

    async def count(session: AsyncSession, chosen: SiteGroup) -> dict[str, Any]:
        ranked, unranked = await ranking.ranking(
            session,
            chosen,
            whole,
            by=by,
            level=level or Level.KABUPATEN_KOTA,
            order=order,
            min_coverage_pct=min_coverage_pct,
            now=utc_now(),
        )
        last = len(ranked) if aggregate.format is OutputFormat.CSV else first + limit
        return {
            "from": whole.start,
            "to": whole.end,
            "items": ranked[first:last],
            "unranked": [] if first else unranked,
            "next_cursor": BY_RANK.write_within(whole, last) if last < len(ranked) else None,
        }

    return await aggregate.respond(
        RANKING, whole, lambda session: selection.select_any(session, region, None, technology, caller=caller), count
    )
