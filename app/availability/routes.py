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
from app.availability import ranking, segment_list, segments_table
from app.availability.child_regions import children_table, uptime_of_children
from app.availability.group_uptime import group_uptime
from app.availability.ranking_schemas import By, RankingOrder, RankingOut
from app.availability.ranking_table import ranking_table
from app.availability.schemas import ChildRegionsOut, SegmentsOut, SumUptimeOut, UptimeOut
from app.availability.site_uptime import site_uptime
from app.availability.timeline import TimelineSegment
from app.availability.uptime_columns import GROUP_COLUMNS, SITE_COLUMNS
from app.core.clock import parse_moment, utc_now
from app.core.errors import Fault, Invalid
from app.core.periods import Period, Step, resolve_step
from app.core.tables import Table, Text, max_rows
from app.judging.settled import sites_settled_until
from app.registry import store as registry
from app.registry.models import Level, Site
from app.registry.params import ProviderId, RegionCode, RegionPath, SiteId
from app.web.deps import Reader, ReadSession
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import PeriodParam
from app.web.table_files import TableParams, file_responses

router = APIRouter()

UPTIME = Text("Ketersediaan", "Uptime of")
SITE_UPTIME = AggregateSpec(
    AggregateKind.AVAILABILITY, UptimeOut, "ketersediaan", partial(site_table, what=UPTIME, columns=SITE_COLUMNS)
)
GROUP_UPTIME = AggregateSpec(
    AggregateKind.AVAILABILITY, SumUptimeOut, "ketersediaan", partial(group_table, what=UPTIME, columns=GROUP_COLUMNS)
)
CHILD_UPTIME = AggregateSpec(AggregateKind.AVAILABILITY, ChildRegionsOut, "ketersediaan-wilayah", children_table)
RANKINGS = {
    by: AggregateSpec(
        AggregateKind.AVAILABILITY, RankingOut, f"peringkat-{by}", partial(ranking_table, by=by), paged=True
    )
    for by in By
}
BY_RANK = PeriodCursorCodec(row_id)
BY_START = PeriodCursorCodec(parse_moment)


@router.get("/sites/{id}/segments", response_model=SegmentsOut, responses=file_responses(404), tags=["one site"])
async def list_site_segments(
    session: ReadSession,
    caller: Reader,
    files: TableParams,
    id: SiteId,
    period: PeriodParam,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """Segments of one site: which seconds exactly, on what evidence.

    Of one state each, clipped to `from` and `to`. A file holds those of the whole period.
    """
    if not files.is_file:
        site, _ = await registry.get_site(session, id, caller=caller)
        return await _segments(session, site, period, limit=limit, cursor=cursor)
    files.require_no_paging()

    async def build(session: AsyncSession) -> Table:
        site, _ = await registry.get_site(session, id, caller=caller)
        beyond = max_rows(segments_table.COLUMNS, files.format) + 1  # so many are refused
        found = await _segments(session, site, period, limit=beyond)
        single = SingleSite(site.id, caller.provider_id, site.code)
        return await segments_table.segments_table(session, SegmentsOut.model_validate(found), single)

    return await files.respond("riwayat-status", build)


async def _segments(
    session: AsyncSession, site: Site, period: Period, *, limit: int, cursor: str | None = None
) -> dict[str, Any]:
    whole, start = BY_START.resume(cursor, period, period.start)
    now = utc_now()
    settled = await sites_settled_until(session, [site.id], whole, now=now)
    found = await segment_list.list_segments(session, site, Period(start, whole.end), now=now)
    sources = await segment_list.evidence_sources(session, site.id, found[:limit])
    return {
        "from": whole.start,
        "to": whole.end,
        "settled_until": settled,
        "items": [_segment(segment, source) for segment, source in zip(found[:limit], sources, strict=True)],
        "next_cursor": BY_START.write_within(whole, found[limit].started_at) if len(found) > limit else None,
    }


def _segment(segment: TimelineSegment, source: str | None) -> dict[str, Any]:
    duration_s = round((segment.ended_at - segment.started_at).total_seconds())
    fields = {name: getattr(segment, name) for name in TimelineSegment.__slots__}
    return fields | {"duration_s": duration_s, "evidence": source, "claim": _claim(segment)}


def _claim(segment: TimelineSegment) -> dict[str, Any] | None:
    claim = segment.claim
    if claim is None:
        return None
    bounds = {name: getattr(claim, name) for name in ("started_at", "ended_at", "received_at")}
    return bounds | {"proven_state": segment.proven_state}


@router.get(
    "/sites/{id}/uptime",
    response_model=UptimeOut,
    responses=aggregate_responses(404),
    tags=["one site"],
)
async def get_site_uptime(
    aggregate: Aggregate, caller: Reader, id: SiteId, period: PeriodParam, step: Step | None = None
) -> Response:
    """Uptime of one site.

    Seconds of every state, and percentages with their bounds. Days and months are cut in WITA."""
    chosen = resolve_step(period, step)

    async def compute(session: AsyncSession, selected: SingleSite) -> dict[str, Any]:
        site = await session.get_one(Site, selected.site_id)
        return await site_uptime(session, site, period, chosen, now=utc_now(), contracts_of=selected.contracts_of)

    return await aggregate.respond(
        SITE_UPTIME, period, lambda session: selection.select_site(session, id, caller=caller), compute
    )


def _group_uptime(period: Period, step: Step | None) -> Callable[[AsyncSession, SiteGroup], Awaitable[dict[str, Any]]]:
    chosen = resolve_step(period, step)
    return lambda session, group: group_uptime(session, group, period, chosen, now=utc_now())


@router.get(
    "/regions/{code}/uptime", response_model=SumUptimeOut, responses=aggregate_responses(403, 404), tags=["aggregates"]
)
async def get_region_uptime(
    aggregate: Aggregate,
    caller: Reader,
    code: RegionPath,
    period: PeriodParam,
    step: Step | None = None,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
) -> Response:
    """Uptime of a region.

    Summed seconds of all its access points; nodes are never counted.
    """
    return await aggregate.respond(
        GROUP_UPTIME,
        period,
        lambda session: selection.select_region(session, code, provider, technology, caller=caller),
        _group_uptime(period, step),
    )


@router.get(
    "/regions/{code}/children/uptime",
    response_model=ChildRegionsOut,
    responses=aggregate_responses(403, 404),
    tags=["aggregates"],
)
async def get_child_regions_uptime(
    aggregate: Aggregate,
    caller: Reader,
    code: RegionPath,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    provider: ProviderFilter = None,
) -> Response:
    """Uptime of the regions directly below.

    The districts of the province, the kecamatan of a district, the villages of a kecamatan; each row is the `total` of
    `/regions/{code}/uptime`, without `verdicts`.
    """
    return await aggregate.respond(
        CHILD_UPTIME,
        period,
        lambda session: selection.select_region(session, code, provider, technology, caller=caller),
        lambda session, group: uptime_of_children(session, group, period, now=utc_now()),
    )


@router.get(
    "/providers/{id}/uptime", response_model=SumUptimeOut, responses=aggregate_responses(403, 404), tags=["aggregates"]
)
async def get_provider_uptime(
    aggregate: Aggregate,
    caller: Reader,
    id: ProviderId,
    period: PeriodParam,
    step: Step | None = None,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
) -> Response:
    """Uptime of a provider.

    Summed seconds of its access points, each for as long as it was this provider's.
    """
    return await aggregate.respond(
        GROUP_UPTIME,
        period,
        lambda session: selection.select_provider(session, id, region, technology, caller=caller),
        _group_uptime(period, step),
    )


@router.get("/ranking", response_model=RankingOut, responses=aggregate_responses(403), tags=["aggregates"])
async def get_ranking(
    aggregate: Aggregate,
    caller: Reader,
    by: By,
    period: PeriodParam,
    technology: TechnologyFilter = None,
    region: RegionCode = None,
    provider: ProviderFilter = None,
    level: Annotated[Level | None, Query(description="with by=region; default kabupaten_kota")] = None,
    min_coverage_pct: Annotated[float, Query(ge=0, le=100, allow_inf_nan=False)] = 80,
    order: RankingOrder = RankingOrder.BEST,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Ranking of sites, regions or providers.

    By uptime, each among those of the same technology.
    """
    if level is not None and by is not By.REGION:
        raise Invalid(
            Fault("level", "only_with_regions", "Only regions have a level", "Use by=region, or leave level out")
        )
    whole, first = BY_RANK.resume(cursor, period, 0)

    async def compute(session: AsyncSession, group: SiteGroup) -> dict[str, Any]:
        settled, ranked, unranked = await ranking.rank(
            session,
            group,
            whole,
            by=by,
            level=level or Level.KABUPATEN_KOTA,
            order=order,
            min_coverage_pct=min_coverage_pct,
            now=utc_now(),
        )
        last = len(ranked) if aggregate.is_file else first + limit
        return {
            "from": whole.start,
            "to": whole.end,
            "settled_until": settled,
            "items": ranked[first:last],
            "unranked": [] if first else unranked,
            "next_cursor": BY_RANK.write_within(whole, last) if last < len(ranked) else None,
        }

    return await aggregate.respond(
        RANKINGS[by],
        whole,
        lambda session: selection.select_any(session, region, provider, technology, caller=caller),
        compute,
    )
