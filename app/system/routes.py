"""`GET /system`: whether monitoring itself works; for the province's officers, what each part of it does."""

from typing import Any

from fastapi import APIRouter, Request

from app.core.clock import utc_now
from app.system import overview
from app.system.overview import ApiState
from app.system.schemas import SystemOut
from app.web.deps import Reader, Session
from app.web.problem_details import problems

router = APIRouter(prefix="/system", tags=["this service"])


@router.get("", response_model=SystemOut, response_model_by_alias=True, responses=problems())
async def get_system(session: Session, caller: Reader, request: Request) -> dict[str, Any]:
    """Whether monitoring itself works.

    A sentence, and what is wrong, in both languages, with what to do; how far the past is counted. Admins and operators
    of the province read what each part does, too.
    """
    return await overview.read_overview(session, _api_state(request), caller=caller, now=utc_now())


def _api_state(request: Request) -> ApiState:
    state, app = request.app.state, request.app
    return ApiState(app.version, state.settings, state.snapshot, state.streams, state.engine.pool)
