"""`/compliance/samples`: seeds published before their periods begin, and the sites that they draw."""

from datetime import date
from operator import itemgetter
from typing import Any

from fastapi import APIRouter

from app.compliance import samples
from app.compliance.params import SamplePeriodParam
from app.compliance.period import parse_sample_period
from app.compliance.sample_schemas import SampleIn, SampleOut
from app.core.clock import utc_now
from app.web.deps import Provincial, Reader, Session
from app.web.json_body import JsonRoute
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, Limit
from app.web.problem_details import problems

router = APIRouter(prefix="/compliance/samples", tags=["aggregates"], route_class=JsonRoute)

BY_START = cursor_codec(date.fromisoformat, str)


@router.get("", response_model=Page[SampleOut], responses=problems())
async def list_samples(
    session: Session, caller: Reader, period: SamplePeriodParam, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """List samples.

    The latest period first: its seed with what it was made of, and the drawn sites within your scope.
    """
    rows = await samples.list_samples(session, period=period, before=BY_START.read(cursor), limit=limit + 1)
    page, next_cursor = BY_START.page(rows, limit, itemgetter("starts_on", "period"))
    return {"items": await samples.with_sites(session, page, caller=caller), "next_cursor": next_cursor}


@router.post("", response_model=SampleOut, status_code=201, responses=problems(403, 409))
async def record_sample(session: Session, caller: Provincial, body: SampleIn) -> dict[str, Any]:
    """Record a period's seed and draw its sites.

    Only the province may, once, at least a day before the period begins. Drawn sites are tested before others.
    """
    period = parse_sample_period(body.period)
    return await samples.record_sample(session, body, period, caller=caller, now=utc_now())
