from datetime import datetime
from typing import Any

from fastapi import APIRouter

from app.core.clock import from_slot, parse_moment
from app.core.periods import Period
from app.judging import blind_range_list, lost_packets
from app.judging.schemas import BlindKind, BlindRangesOut, BlindSource, MeasurementsOut
from app.measurements import store as measurements
from app.measurements.fields import measurement_fields
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, ReadSession
from app.web.pagination import CursorCodec, cursor_codec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter()

BY_SLOT = cursor_codec(parse_moment, str)

# The first page's period, and what `blind_range_list` goes on from.
BY_START: CursorCodec[tuple[datetime, datetime, datetime, str, int]] = CursorCodec(
    parse_moment, parse_moment, parse_moment, BlindKind, row_id
)


@router.get("/blind-ranges", response_model=BlindRangesOut, responses=problems(), tags=["operations"])
async def list_blind_ranges(
    session: ReadSession,
    caller: Reader,
    period: PeriodParam,
    source: BlindSource | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """When the service itself could not see.

    With reason and evidence, newest first: what was lost in it is nobody's outage. Every signed-in caller may hold them
    against records of their own. Sites outside your scope are counted, not named.
    """
    key = BY_START.read(cursor)
    whole = period if key is None else Period(key[0], key[1])
    items = await blind_range_list.list_blind_ranges(
        session, whole, source, caller=caller, after=key and key[2:], limit=limit + 1
    )
    page, next_cursor = BY_START.page(
        items, limit, lambda item: (whole.start, whole.end, item["started_at"], item["kind"], item["id"])
    )
    return {"from": whole.start, "to": whole.end, "items": page, "next_cursor": next_cursor}


@router.get("/sites/{id}/measurements", response_model=MeasurementsOut, responses=problems(404), tags=["one site"])
async def list_site_measurements(
    session: ReadSession,
    caller: Reader,
    id: SiteId,
    period: PeriodParam,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Single readings of one site.

    Oldest first.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    after = BY_SLOT.read(cursor)
    readings = await measurements.list_readings(
        session, site.id, period.start, period.end, after=after, limit=limit + 1
    )
    page, next_cursor = BY_SLOT.page(readings, limit, lambda reading: (from_slot(reading.slot), reading.source))
    faults = await lost_packets.fault_reasons(session, page)
    return {
        "from": period.start,
        "to": period.end,
        "items": [measurement_fields(reading, fault) for reading, fault in zip(page, faults, strict=True)],
        "next_cursor": next_cursor,
    }
