from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from app.aggregates import selection
from app.aggregates.latency import latency
from app.aggregates.schemas import GroupLatencyOut, LatencyOut
from app.aggregates.selection import OneSite
from app.asked import Asked
from app.http import Reader, Session
from app.periods import Step, chosen_step
from app.problems import problems
from app.profiles import Technology
from app.registry import store as registry
from app.registry.routes import ProviderId, RegionCode, SiteId

router = APIRouter()

Code = Annotated[str, Path(description="a Kemendagri code", examples=["64.02"])]
OfProvider = Annotated[str | None, Query(min_length=1, max_length=100, description="only its sites: id or slug")]
OfTechnology = Annotated[Technology | None, Query(description="only its sites")]


@router.get("/sites/{id}/latency", response_model=LatencyOut, responses=problems(404), tags=["one site"])
async def get_latency(
    session: Session, caller: Reader, id: SiteId, period: Asked, step: Step | None = None
) -> dict[str, Any]:
    """Round-trip times of the packets that were answered, and the share of those that were not.

    Where single readings are no longer kept, `from` and `to` are widened to whole hours.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return await latency(session, OneSite(site.id), period, chosen_step(period, step))


@router.get(
    "/regions/{code}/latency", response_model=GroupLatencyOut, responses=problems(403, 404), tags=["aggregates"]
)
async def get_region_latency(
    session: Session,
    caller: Reader,
    code: Code,
    period: Asked,
    step: Step | None = None,
    technology: OfTechnology = None,
    provider: OfProvider = None,
) -> dict[str, Any]:
    """Of all packets of the region's access points. Fibre and GEO mixed give figures of neither: ask by technology.

    A site counts for the provider and the technology that it had at the end of each day.
    """
    of = await selection.select_region(session, code, provider, technology, caller=caller)
    return await latency(session, of, period, chosen_step(period, step))


@router.get(
    "/providers/{id}/latency", response_model=GroupLatencyOut, responses=problems(403, 404), tags=["aggregates"]
)
async def get_provider_latency(
    session: Session,
    caller: Reader,
    id: ProviderId,
    period: Asked,
    step: Step | None = None,
    technology: OfTechnology = None,
    region: RegionCode = None,
) -> dict[str, Any]:
    """Of all packets of the provider's access points, within your region. Ask by technology to compare."""
    of = await selection.select_provider(session, id, region, technology, caller=caller)
    return await latency(session, of, period, chosen_step(period, step))
