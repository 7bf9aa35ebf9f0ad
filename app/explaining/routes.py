from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.core.clock import utc_now
from app.explaining.explanation import explanation
from app.explaining.params import PastSecond
from app.explaining.schemas import ExplanationOut
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, ReadSession
from app.web.problem_details import problems

router = APIRouter()


@router.get("/sites/{id}/explanation", response_model=ExplanationOut, responses=problems(404), tags=["one site"])
async def get_site_explanation(
    session: ReadSession,
    caller: Reader,
    id: SiteId,
    at: PastSecond,
    around_s: Annotated[
        int, Query(ge=0, le=3600, description="readings up to so many seconds before and after", examples=[600])
    ] = 600,
) -> dict[str, Any]:
    """Why one site is said to be in its state.

    At any second: the rule in words, the segment, the readings before and after, and whether a contract counts it.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return await explanation(session, site, at, caller=caller, around=timedelta(seconds=around_s), now=utc_now())
