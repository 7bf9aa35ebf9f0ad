from datetime import datetime
from typing import Any

from fastapi import APIRouter

from app.core.clock import parse_moment
from app.measurements import store
from app.measurements.models import Measurement
from app.measurements.schemas import MeasurementsOut
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Cursor, Limit, Reader, Session, read_cursor, write_cursor
from app.web.period_params import Asked
from app.web.problem_details import problems

router = APIRouter(prefix="/sites/{id}", tags=["one site"])


@router.get("/measurements", response_model=MeasurementsOut, responses=problems(404))
async def list_measurements(
    session: Session,
    caller: Reader,
    id: SiteId,
    period: Asked,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Single readings, oldest first."""
    site, _ = await registry.get_site(session, id, caller=caller)
    after = read_cursor(cursor, kind=_place)
    found = await store.list_measurements(session, site.id, period.start, period.end, after=after, limit=limit + 1)
    more = len(found) > limit
    return {
        "from": period.start,
        "to": period.end,
        "items": [_present(reading) for reading in found[:limit]],
        "next_cursor": write_cursor(f"{found[limit - 1].slot.isoformat()}~{found[limit - 1].source}") if more else None,
    }


def _place(text: str) -> tuple[datetime, str]:
    slot, _, source = text.partition("~")
    return parse_moment(slot), source


def _present(reading: Measurement) -> dict[str, Any]:
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
