from typing import Any

from fastapi import APIRouter

from app.aggregates.latency import latency
from app.aggregates.schemas import LatencyOut
from app.asked import Asked
from app.http import Session, SignedIn
from app.periods import Step, chosen_step
from app.problems import problems
from app.registry import store as registry
from app.registry.routes import SiteId

router = APIRouter(prefix="/sites/{id}", tags=["one site"])


@router.get("/latency", response_model=LatencyOut, responses=problems(404))
async def get_latency(
    session: Session,
    caller: SignedIn,
    id: SiteId,
    period: Asked,
    step: Step | None = None,
) -> dict[str, Any]:
    """Round-trip times of the packets that were answered, and the share of those that were not."""
    site, _ = await registry.get_site(session, id, caller=caller)
    return await latency(session, site.id, period, chosen_step(period, step))
