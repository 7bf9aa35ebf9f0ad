from typing import Any

from fastapi import APIRouter

from app.registry import store as registry
from app.registry.params import SiteId
from app.streams import store
from app.streams.break_bounds import total
from app.streams.schemas import BreaksOut
from app.web.deps import Reader, ReadSession
from app.web.params import Limit
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter(tags=["one site"])


@router.get("/sites/{id}/breaks", response_model=BreaksOut, responses=problems(404))
async def list_site_breaks(
    session: ReadSession, caller: Reader, id: SiteId, period: PeriodParam, limit: Limit = 100
) -> dict[str, Any]:
    """Short breaks of a site's link.

    As seen over the stream that its device holds open, beside the looks of each minute: when each began and ended, as
    closely as both sides know. They change no state and no percentage. Zero breaks say something only of the seconds in
    which a stream was heard (`held_s`), and one shorter than half a beat may pass unseen.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    breaks = await store.list_breaks(session, site.id, period.start, period.end)
    return {
        "from": period.start,
        "to": period.end,
        "held_s": await store.held_seconds(session, site.id, period),
        **total(breaks),
        "items": breaks[:limit],
        "truncated": len(breaks) > limit,
    }
