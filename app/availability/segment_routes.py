from typing import Any

from fastapi import APIRouter

from app.availability import beginnings, timeline
from app.availability.schemas import SegmentsOut
from app.availability.site_uptime import in_service
from app.core.clock import parse_moment, utc_now
from app.core.periods import Period
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, Session
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter(prefix="/sites/{id}", tags=["one site"])

BY_START = PeriodCursorCodec(parse_moment)


@router.get("/segments", response_model=SegmentsOut, responses=problems(404))
async def list_segments(
    session: Session, caller: Reader, id: SiteId, period: PeriodParam, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """The stretches of one state each, clipped to from and to, with the evidence that bounds them."""
    site, _ = await registry.get_site(session, id, caller=caller)
    whole, start = BY_START.resume(cursor, period, period.start)
    pieces = await in_service(session, site, Period(start, whole.end), now=utc_now())
    began = await beginnings.evidence(session, site.id, pieces[:limit])
    return {
        "from": whole.start,
        "to": whole.end,
        "items": [_fields(piece) | {"evidence": source} for piece, source in zip(pieces[:limit], began, strict=True)],
        "next_cursor": BY_START.write_within(whole, pieces[limit].started_at) if len(pieces) > limit else None,
    }


def _fields(piece: timeline.Piece) -> dict[str, Any]:
    duration_s = round((piece.ended_at - piece.started_at).total_seconds())
    return {name: getattr(piece, name) for name in timeline.Piece.__slots__} | {"duration_s": duration_s}
