from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.aggregates import selection
from app.aggregates.ranking import ranking
from app.aggregates.routes import Code, OfProvider, OfTechnology
from app.aggregates.uptime import uptime
from app.aggregates.uptime_schemas import By, Order, RankingOut, SumUptimeOut
from app.asked import Asked
from app.clock import parse_moment, utc_now
from app.errors import Fault, Invalid
from app.http import Cursor, Limit, Reader, Session, read_cursor, write_cursor
from app.periods import Period, Step, chosen_step
from app.problems import problems
from app.registry.models import Level
from app.registry.routes import ProviderId, RegionCode

router = APIRouter(tags=["aggregates"])


@router.get("/regions/{code}/uptime", response_model=SumUptimeOut, responses=problems(403, 404))
async def get_region_uptime(
    session: Session,
    caller: Reader,
    code: Code,
    period: Asked,
    step: Step | None = None,
    technology: OfTechnology = None,
    provider: OfProvider = None,
) -> dict[str, Any]:
    """Seconds of all access points of a region together; nodes are never counted."""
    chosen = await selection.select_region(session, code, provider, technology, caller=caller)
    return await uptime(session, chosen, period, chosen_step(period, step), now=utc_now())


@router.get("/providers/{id}/uptime", response_model=SumUptimeOut, responses=problems(403, 404))
async def get_provider_uptime(
    session: Session,
    caller: Reader,
    id: ProviderId,
    period: Asked,
    step: Step | None = None,
    technology: OfTechnology = None,
    region: RegionCode = None,
) -> dict[str, Any]:
    """Seconds of a provider's access points together, each for as long as it was this provider's."""
    chosen = await selection.select_provider(session, id, region, technology, caller=caller)
    return await uptime(session, chosen, period, chosen_step(period, step), now=utc_now())


@router.get("/ranking", response_model=RankingOut, responses=problems(403))
async def get_ranking(
    session: Session,
    caller: Reader,
    by: By,
    period: Asked,
    technology: OfTechnology = None,
    region: RegionCode = None,
    level: Annotated[Level | None, Query(description="with by=region; default kabupaten_kota")] = None,
    min_coverage_pct: Annotated[float, Query(ge=0, le=100, allow_inf_nan=False)] = 80,
    order: Order = Order.BEST,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """By uptime, inside one technology only: each item is ranked among those of its own technology."""
    if level is not None and by is not By.REGION:
        raise Invalid(
            Fault("level", "only_with_regions", "Only regions have a level", "Ask with by=region, or leave it out")
        )
    whole, first = read_cursor(cursor, kind=_place) or (period, 0)
    chosen = await selection.select_any(session, region, None, technology, caller=caller)
    ranked, unranked = await ranking(
        session, chosen, whole, by=by, level=level or Level.KABUPATEN_KOTA, order=order,
        min_coverage_pct=min_coverage_pct, now=utc_now(),
    )  # fmt: skip
    last = first + limit
    return {
        "from": whole.start, "to": whole.end, "items": ranked[first:last], "unranked": [] if first else unranked,
        "next_cursor": _next_place(whole, last) if last < len(ranked) else None,
    }  # fmt: skip


def _next_place(whole: Period, place: int) -> str:
    """A page goes on over the period that the first one had."""
    return write_cursor(f"{whole.start.isoformat()}~{whole.end.isoformat()}~{place}")


def _place(text: str) -> tuple[Period, int]:
    start, end, place = text.split("~")
    whole = Period(parse_moment(start), parse_moment(end))
    if not (0 < int(place) < 2**31 and whole.start < whole.end):
        raise ValueError(text)
    return whole, int(place)
