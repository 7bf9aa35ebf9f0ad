from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.availability.cause_effect_schemas import CauseEffects
from app.availability.cause_effects import cause_effects
from app.core.clock import utc_now
from app.incidents import store as incidents
from app.registry.models import Cause
from app.web.deps import Session, Writer
from app.web.params import RowId
from app.web.problem_details import problems

router = APIRouter()


@router.get(
    "/incidents/{id}/cause-effects", response_model=CauseEffects, responses=problems(403, 404), tags=["operations"]
)
async def get_cause_effects(
    session: Session,
    caller: Writer,
    id: RowId,
    cause: Annotated[Cause, Query(description="the cause to try", examples=["power"])],
) -> dict[str, Any]:
    """What a cause would change in the months that contracts count.

    Of each site's months that the incident touches, counted as they are and with the cause; nothing is changed.
    """
    incident = await incidents.get_incident(session, id, caller=caller)
    return await cause_effects(session, incident, cause, caller=caller, now=utc_now())
