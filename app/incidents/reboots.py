"""What the devices of sites that report themselves say of an outage when they are back: since when they run.

The receipts of what was pushed are kept further up (app.field); they are read here, as facts, and never written.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents.cause_hint import Return
from app.incidents.models import IncidentSite

SLACK_S = 60  # a device that is just back counts its uptime in seconds, and its clock is ours to guess
LONGEST_SINCE_OK = timedelta(minutes=15)

# The boot that was alive at the end: begun before it, heard after it. An older one may be heard of late, from a spool.
ALIVE = text(f"""
    SELECT n.id, r.booted_at
    FROM json_to_recordset(cast(:rows AS json)) AS n(id bigint, site_id int, "end" timestamptz)
    CROSS JOIN LATERAL (
        SELECT booted_at FROM push_receipt p
        WHERE p.site_id = n.site_id AND p.last_at >= n."end"
            AND p.booted_at <= n."end" + interval '{SLACK_S} seconds'
        ORDER BY p.booted_at DESC LIMIT 1
    ) r
""")


async def returns(session: AsyncSession, rows: Iterable[IncidentSite]) -> dict[int, Return]:
    """By the outage's id, of those that ended with an answer, and of whose device anything is known."""
    over = {row.id: row for row in rows if row.withdrawn_at is None and row.first_ok_after is not None}
    if not over:
        return {}
    given = [{"id": row.id, "site_id": row.site_id, "end": row.ended_at} for row in over.values()]
    found = await session.execute(ALIVE, {"rows": orjson.dumps(given).decode()})
    return {row_id: _return(over[row_id], booted_at) for row_id, booted_at in found}


def _return(row: IncidentSite, booted_at: datetime) -> Return:
    """The outage may have begun as early as right after the last answer."""
    assert row.ended_at is not None
    since = max(row.last_ok_at or row.started_at, row.started_at - LONGEST_SINCE_OK)
    return Return((row.ended_at - booted_at).total_seconds(), (row.ended_at - since).total_seconds())
