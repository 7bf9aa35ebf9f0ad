from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.aggregates import selection
from app.aggregates.cache_key import Figures
from app.aggregates.cached_endpoint import AsAsked, Told, answers
from app.aggregates.selection import OneSite, Selection
from app.core.periods import Period, Step, chosen_step
from app.latency.latency import latency
from app.latency.schemas import GroupLatencyOut, LatencyOut
from app.profiles import Technology
from app.registry import store as registry
from app.registry.params import ProviderId, RegionCode, SiteId
from app.web.deps import Reader
from app.web.period_params import Asked

router = APIRouter()

Code = Annotated[str, Path(description="a Kemendagri code", examples=["64.02"])]
OfProvider = Annotated[str | None, Query(min_length=1, max_length=100, description="only its sites: id or slug")]
OfTechnology = Annotated[Technology | None, Query(description="only its sites")]


OF_SITE = Told(Figures.LATENCY, LatencyOut, "latensi")
OF_GROUP = Told(Figures.LATENCY, GroupLatencyOut, "latensi")


def _counting(
    period: Period, step: Step | None
) -> Callable[[AsyncSession, OneSite | Selection], Awaitable[dict[str, Any]]]:
    chosen = chosen_step(period, step)
    return lambda session, of: latency(session, of, period, chosen)


@router.get("/sites/{id}/latency", response_model=LatencyOut, responses=answers(404), tags=["one site"])
async def get_latency(asking: AsAsked, caller: Reader, id: SiteId, period: Asked, step: Step | None = None) -> Response:
    """Round-trip times of the packets that were answered, and the share of those that were not.

    Where single readings are no longer kept, `from` and `to` are widened to whole hours.
    """
    return await asking.answer(OF_SITE, period, lambda session: one_site(session, id, caller), _counting(period, step))


async def one_site(session: AsyncSession, ident: str, caller: Caller) -> OneSite:
    """Raises NotFound for one that is unknown, and one that lies out of scope."""
    site, _ = await registry.get_site(session, ident, caller=caller)
    return OneSite(site.id)


@router.get("/regions/{code}/latency", response_model=GroupLatencyOut, responses=answers(403, 404), tags=["aggregates"])
async def get_region_latency(
    asking: AsAsked,
    caller: Reader,
    code: Code,
    period: Asked,
    step: Step | None = None,
    technology: OfTechnology = None,
    provider: OfProvider = None,
) -> Response:
    """Of all packets of the region's access points. Fibre and GEO mixed give figures of neither: ask by technology.

    A site counts for the provider and the technology that it had at the end of each day.
    """
    return await asking.answer(
        OF_GROUP,
        period,
        lambda session: selection.select_region(session, code, provider, technology, caller=caller),
        _counting(period, step),
    )


@router.get("/providers/{id}/latency", response_model=GroupLatencyOut, responses=answers(403, 404), tags=["aggregates"])
async def get_provider_latency(
    asking: AsAsked,
    caller: Reader,
    id: ProviderId,
    period: Asked,
    step: Step | None = None,
    technology: OfTechnology = None,
    region: RegionCode = None,
) -> Response:
    """Of all packets of the provider's access points, within your region. Ask by technology to compare."""
    return await asking.answer(
        OF_GROUP,
        period,
        lambda session: selection.select_provider(session, id, region, technology, caller=caller),
        _counting(period, step),
    )
