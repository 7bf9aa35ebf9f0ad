from datetime import datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.aggregates import selection
from app.aggregates.routes import Code, OfProvider, OfTechnology
from app.asked import Asked
from app.clock import parse_moment, utc_now
from app.http import Cursor, Limit, Reader, Session, next_page, read_cursor, write_cursor
from app.periods import Period
from app.problems import problems
from app.registry import store as registry
from app.registry.routes import ProviderId, RegionCode, SiteId
from app.throughput import figures
from app.throughput.schemas import GroupThroughputOut, SiteThroughputOut

router = APIRouter()


@router.get("/sites/{id}/throughput", response_model=SiteThroughputOut, responses=problems(404), tags=["one site"])
async def get_throughput(
    session: Session, caller: Reader, id: SiteId, period: Asked, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """Tests of the site's speed, each with what it found and cost, or why there was none; and what is left to spend."""
    return await _of_site(session, id, period, read_cursor(cursor, kind=parse_moment), limit, caller)


@router.get(
    "/regions/{code}/throughput", response_model=GroupThroughputOut, responses=problems(403, 404), tags=["aggregates"]
)
async def get_region_throughput(
    session: Session,
    caller: Reader,
    code: Code,
    period: Asked,
    technology: OfTechnology = None,
    provider: OfProvider = None,
) -> dict[str, Any]:
    """Of a region's access points, by technology: each site by the median of its tests, then the sites' median and p10.

    A site counts for the region, provider and technology that it had when it was tested.
    """
    of = await selection.select_region(session, code, provider, technology, caller=caller)
    return await figures.of_group(session, of, period)


@router.get(
    "/providers/{id}/throughput", response_model=GroupThroughputOut, responses=problems(403, 404), tags=["aggregates"]
)
async def get_provider_throughput(
    session: Session,
    caller: Reader,
    id: ProviderId,
    period: Asked,
    technology: OfTechnology = None,
    region: RegionCode = None,
) -> dict[str, Any]:
    """Of a provider's access points within your region, as above."""
    of = await selection.select_provider(session, id, region, technology, caller=caller)
    return await figures.of_group(session, of, period)


async def _of_site(
    session: AsyncSession, ident: str, period: Period, before: datetime | None, limit: int, caller: Caller
) -> dict[str, Any]:
    site, _ = await registry.get_site(session, ident, caller=caller)
    page = next_page(
        await figures.list_tests(session, site.id, period, before=before, limit=limit + 1), limit, "planned_at"
    )
    if page["next_cursor"] is not None:
        page["next_cursor"] = write_cursor(page["items"][-1].planned_at.isoformat())
    return {
        "from": period.start, "to": period.end, **page, "total": await figures.of_site(session, site.id, period),
        "budget": await figures.budget(session, site, period.end, utc_now()),
    }  # fmt: skip
