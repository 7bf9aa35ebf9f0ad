from typing import Any

from fastapi import APIRouter

from app.availability.contract_outage_schemas import ContractOutages
from app.availability.contract_outages import contract_outages
from app.core.clock import utc_now
from app.judging.settled import sites_settled_until
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, Session
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter()

BY_POSITION = PeriodCursorCodec(row_id)


@router.get("/sites/{id}/contract-outages", response_model=ContractOutages, responses=problems(404), tags=["one site"])
async def list_contract_outages(
    session: Session, caller: Reader, id: SiteId, period: PeriodParam, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """Outages of one site as its contracts count them.

    Every outage that touches them in the period, and why it counts or does not. With what bounds it, its cause, who set
    that and when, and the incident; a provider sees its own contracts.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    whole, first = BY_POSITION.resume(cursor, period, 0)
    now = utc_now()
    settled = await sites_settled_until(session, [site.id], whole, now=now)
    answer = await contract_outages(session, site, whole, first=first, limit=limit, caller=caller, now=now)
    last, count = first + limit, answer.pop("count")
    return {
        "from": whole.start,
        "to": whole.end,
        "settled_until": settled,
        **answer,
        "next_cursor": BY_POSITION.write_within(whole, last) if last < count else None,
    }
