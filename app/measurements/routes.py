from typing import Any

from fastapi import APIRouter

from app.core.clock import parse_moment
from app.measurements import store
from app.measurements.models import Measurement
from app.measurements.schemas import MeasurementsOut
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, Session
from app.web.pagination import cursor_codec
from app.web.params import Cursor, Limit
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter(prefix="/sites/{id}", tags=["one site"])

BY_SLOT = cursor_codec(parse_moment, str)


@router.get("/measurements", response_model=MeasurementsOut, responses=problems(404))
async def list_measurements(
    session: Session,
    caller: Reader,
    id: SiteId,
    period: PeriodParam,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Single readings, oldest first."""
    site, _ = await registry.get_site(session, id, caller=caller)
    after = BY_SLOT.read(cursor)
    readings = await store.list_measurements(session, site.id, period.start, period.end, after=after, limit=limit + 1)
    page, next_cursor = BY_SLOT.page(readings, limit, lambda reading: (reading.slot, reading.source))
    return {
        "from": period.start,
        "to": period.end,
        "items": [_row(reading) for reading in page],
        "next_cursor": next_cursor,
    }


def _row(reading: Measurement) -> dict[str, Any]:
    return {
        "slot": reading.slot,
        "source": reading.source,
        "outcome": reading.outcome,
        "sent": reading.sent,
        "received": len(reading.rtt_us),
        "rtt_ms": [rtt / 1000 for rtt in reading.rtt_us],
        "valid_s": reading.valid_s,
        "reason": reading.reason,
    }
