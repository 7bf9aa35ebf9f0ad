from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.core.clock import floor_second, utc_now
from app.core.errors import Fault, Invalid
from app.core.validation import EXAMPLE_MOMENT, FaultError, read_moment
from app.explaining.explanation import explanation
from app.explaining.schemas import ExplanationOut
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, Session
from app.web.period_params import MAX_TIME
from app.web.problem_details import problems

router = APIRouter()


@router.get("/sites/{id}/explanation", response_model=ExplanationOut, responses=problems(404), tags=["one site"])
async def get_site_explanation(
    session: Session,
    caller: Reader,
    id: SiteId,
    at: Annotated[
        str | None,
        Query(
            max_length=MAX_TIME,
            description="the second: ISO 8601 with offset, or epoch ms; default now",
            examples=[EXAMPLE_MOMENT],
        ),
    ] = None,
    around_s: Annotated[
        int, Query(ge=0, le=3600, description="readings up to so many seconds before and after", examples=[600])
    ] = 600,
) -> dict[str, Any]:
    """Why one site is said to be in its state.

    At any second: the rule in words, the segment, the readings before and after, and whether a contract counts it.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    now = utc_now()
    try:
        moment = floor_second(now if at is None else read_moment("at", at))
    except FaultError as error:
        raise Invalid(error.fault) from None
    if moment > now:
        raise Invalid(
            Fault(
                "at",
                "in_the_future",
                "{given} is in the future: nothing is measured yet",
                "Give a moment before now",
                values={"given": moment.isoformat()},
            )
        )
    return await explanation(session, site, moment, caller=caller, around=timedelta(seconds=around_s), now=now)
