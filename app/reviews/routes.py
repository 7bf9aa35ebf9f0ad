"""`/reviews`: a quarter in one answer, its decisions, and the evidence for indicators of digital government."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateSpec, aggregate_responses
from app.aggregates.selection import SiteGroup
from app.core.clock import floor_second, utc_now
from app.postgres.engine import transaction
from app.registry.params import RegionCode
from app.reviews import decisions, pemdi, review
from app.reviews.quarter import EXAMPLE, last_quarter, parse_quarter
from app.reviews.schemas import DecisionIn, DecisionOut, EvidenceOut, ReviewOut
from app.reviews.tables import review_table
from app.web.deps import Provincial, Reader, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.problem_details import problems

router = APIRouter(prefix="/reviews", tags=["reviews"], route_class=JsonRoute)

Quarter = Annotated[
    str | None, Query(max_length=10, description="a quarter; default the last one that is over", examples=[EXAMPLE])
]
QuarterPath = Annotated[str, Path(max_length=10, description="a quarter", examples=[EXAMPLE])]
REVIEW = AggregateSpec(AggregateKind.AVAILABILITY, ReviewOut, "tinjauan", review_table)


@router.get("", response_model=ReviewOut, responses=aggregate_responses(403))
async def get_review(
    request: Request, aggregate: Aggregate, caller: Reader, period: Quarter = None, region: RegionCode = None
) -> Response:
    """A quarter's review.

    Service quality, use, response times, decisions and what villagers answered. Of a region, by default all of the
    caller's. A running quarter goes up to now.
    """
    now = floor_second(utc_now())
    name = period or last_quarter(now)
    whole = parse_quarter(name, now)
    async with transaction(request.app.state.sessions) as session:
        told = await review.version_of(session, name)

    async def compute(session: AsyncSession, group: SiteGroup) -> dict[str, Any]:
        return await review.read_review(session, name, whole, group, caller=caller, now=now)

    async def select(session: AsyncSession) -> SiteGroup:
        return await selection.select_any(session, region, None, None, caller=caller)

    return await aggregate.respond(REVIEW, whole, select, compute, variant=(name, told))


@router.post("/{period}/decisions", response_model=DecisionOut, status_code=201, responses=problems(403))
async def add_decision(
    session: Session, caller: Provincial, period: QuarterPath, body: DecisionIn, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """Record a decision of a quarter's review.

    It stands in the review from now on, with who recorded it and when; a later decision corrects it.
    """
    if decision_id := await idempotency.find(session, body, caller=caller):
        return review.as_fields(await decisions.get_decision(session, decision_id))
    decision = await decisions.add_decision(session, period, body.text, caller=caller, now=utc_now())
    await idempotency.record(session, body, decision.id, caller=caller)
    return review.as_fields(decision)


@router.get("/pemdi", response_model=EvidenceOut, responses=problems())
async def list_evidence(caller: Reader) -> EvidenceOut:
    """Evidence for indicators of digital government.

    Which call or page proves which indicator, as the province's configuration lists it.
    """
    return pemdi.evidence()
