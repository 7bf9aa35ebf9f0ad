from typing import Any

from fastapi import APIRouter, Request

from app.availability import retroactive_changes
from app.availability.presence_schemas import PresenceIn, PresenceOut
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.judging.rejudge import rejudgeable_since
from app.registry import presence_correction
from app.registry.params import SiteId
from app.web.deps import Session, Writer
from app.web.json_body import JsonRoute
from app.web.problem_details import problems

router = APIRouter(route_class=JsonRoute)


@router.post("/sites/{id}/presence", response_model=PresenceOut, responses=problems(403, 404, 422), tags=["registry"])
async def correct_presence(
    session: Session, caller: Writer, request: Request, id: SiteId, body: PresenceIn
) -> dict[str, Any]:
    """Correct since when a site's device is present only at times, or always.

    A correction of the past, with its reason: what was judged since then is judged and counted again. Not while a
    contract is in force, and not beyond another change of the site.
    """
    kept = await rejudgeable_since(session)
    if body.since < kept:
        raise Invalid(
            Fault(
                "from",
                "too_old",
                "Single readings are kept since {since} only: what is older stands",
                "Give a later moment",
                values={"since": kept.isoformat()},
            )
        )
    site = await presence_correction.correct(
        session,
        id,
        body.presence,
        body.since,
        reason=body.reason,
        caller=caller,
        policy=request.app.state.policy,
    )
    await retroactive_changes.invalidate(session, [site.id], [(body.since, utc_now())], reason=body.reason)
    return {"site_id": site.id, "code": site.code, "presence": site.presence, "from": body.since}
