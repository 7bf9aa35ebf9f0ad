from typing import Any

from fastapi import APIRouter

from app.core.clock import utc_now
from app.evidence.collecting import evidence
from app.evidence.schemas import SecondEvidenceOut
from app.explaining.params import PastSecond
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, ReadSession
from app.web.problem_details import problems

router = APIRouter()


@router.get("/sites/{id}/evidence", response_model=SecondEvidenceOut, responses=problems(404), tags=["one site"])
async def get_site_evidence(session: ReadSession, caller: Reader, id: SiteId, at: PastSecond) -> dict[str, Any]:
    """Who said what about a second of one site.

    Our own looks, its device, its connection, its terminal, the provider's system, visitors; which of it counts, and
    where two differ.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return await evidence(session, site, at, caller=caller, now=utc_now())
