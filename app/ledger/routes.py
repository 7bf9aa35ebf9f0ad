from typing import Any

from fastapi import APIRouter

from app.asked import Asked
from app.clock import utc_now
from app.http import Cursor, Limit, Session, SignedIn, problems, read_cursor, write_cursor
from app.ledger import store
from app.ledger.schemas import SegmentsOut, UptimeOut
from app.ledger.uptime import uptime
from app.periods import Step, chosen_step
from app.registry import store as registry
from app.registry.routes import SiteId

router = APIRouter(prefix="/sites/{id}", tags=["one site"])


@router.get("/uptime", response_model=UptimeOut, responses=problems(404))
async def get_uptime(
    session: Session, caller: SignedIn, id: SiteId, period: Asked, step: Step | None = None
) -> dict[str, Any]:
    """Seconds of every state, and the percentages with their bounds. Days and months are cut in WITA."""
    site, status = await registry.get_site(session, id, caller=caller)
    return await uptime(session, site, status, period, chosen_step(period, step), now=utc_now())


@router.get("/segments", response_model=SegmentsOut, responses=problems(404))
async def list_segments(
    session: Session, caller: SignedIn, id: SiteId, period: Asked, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """The stretches of one state each, clipped to from and to, with the evidence that bounds them."""
    site, status = await registry.get_site(session, id, caller=caller)
    skipped = read_cursor(cursor, kind=int) or 0
    pieces = await store.timeline(session, site, status, period.start, period.end, now=utc_now())
    shown = pieces[skipped : skipped + limit]
    more = skipped + limit < len(pieces)
    return {
        "from": period.start,
        "to": period.end,
        "items": [{**_fields(piece), "duration_s": round((piece.ended_at - piece.started_at).total_seconds())}
                  for piece in shown],
        "next_cursor": write_cursor(skipped + limit) if more else None,
    }  # fmt: skip


def _fields(piece: store.Piece) -> dict[str, Any]:
    return {name: getattr(piece, name) for name in store.Piece.__slots__}
