"""`/compliance/samples`: seeds published before their periods begin, and the sites that they draw."""

from typing import Any

from fastapi import APIRouter

from app.compliance import samples
from app.compliance.params import SamplePeriodParam
from app.compliance.period import parse_sample_period
from app.compliance.sample_schemas import SampleIn, SampleOut
from app.core.clock import utc_now
from app.web.deps import Provincial, Reader, Session
from app.web.json_body import JsonRoute
from app.web.problem_details import problems

router = APIRouter(prefix="/compliance/samples", tags=["aggregates"], route_class=JsonRoute)


@router.get("", response_model=SampleOut, responses=problems(404))
async def get_sample(session: Session, caller: Reader, period: SamplePeriodParam) -> dict[str, Any]:
    """The sample of a period.

    Its seed with what it was made of, and the drawn sites within your scope.
    """
    return await samples.get_sample(session, period, caller=caller)


@router.post("", response_model=SampleOut, status_code=201, responses=problems(403, 409))
async def record_sample(session: Session, caller: Provincial, body: SampleIn) -> dict[str, Any]:
    """Record a period's seed and draw its sites.

    Only the province may, once, at least a day before the period begins. Drawn sites are tested before others.
    """
    period = parse_sample_period(body.period)
    return await samples.record_sample(session, body, period, caller=caller, now=utc_now())
