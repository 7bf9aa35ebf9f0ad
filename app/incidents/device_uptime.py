"""Device uptimes after an outage, read from the push receipts of sites that report themselves.

`push_receipt` belongs to app.push, a layer above: it is only read here, in SQL.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents.cause_hint import DeviceUptime
from app.incidents.models import IncidentSite

SLACK_S = 60  # a device reports its uptime in whole seconds, and its clock is only estimated
MAX_SINCE_OK = timedelta(minutes=15)

# The boot that was running when the outage ended: started before the end, received after it. An older boot may still be
# received late, from a spool, so the newest wins.
BOOTS = text(f"""
    SELECT n.id, r.booted_at
    FROM json_to_recordset(cast(:rows AS json)) AS n(id bigint, site_id int, "end" timestamptz)
    CROSS JOIN LATERAL (
        SELECT booted_at FROM push_receipt p
        WHERE p.site_id = n.site_id AND p.last_at >= n."end"
            AND p.booted_at <= n."end" + interval '{SLACK_S} seconds'
        ORDER BY p.booted_at DESC LIMIT 1
    ) r
""")


async def find_device_uptimes(session: AsyncSession, rows: Iterable[IncidentSite]) -> dict[int, DeviceUptime]:
    """By `IncidentSite.id`: only outages that ended with an answer and whose device's boot time is known."""
    ended = {row.id: row for row in rows if row.withdrawn_at is None and row.first_ok_after is not None}
    if not ended:
        return {}
    parameters = [{"id": row.id, "site_id": row.site_id, "end": row.ended_at} for row in ended.values()]
    boots = await session.execute(BOOTS, {"rows": orjson.dumps(parameters).decode()})
    return {row_id: _device_uptime(ended[row_id], booted_at) for row_id, booted_at in boots}


def _device_uptime(row: IncidentSite, booted_at: datetime) -> DeviceUptime:
    assert row.ended_at is not None
    outage = row.ended_at - earliest_start(row)
    return DeviceUptime((row.ended_at - booted_at).total_seconds(), outage.total_seconds())


def earliest_start(row: IncidentSite) -> datetime:
    """Return the last answer before the outage: it may have begun as early as that."""
    return max(row.last_ok_at or row.started_at, row.started_at - MAX_SINCE_OK)
