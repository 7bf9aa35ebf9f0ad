"""What sites' devices saw near themselves: gateway, terminal and carrier, beside looks at the anchors beyond.

By the device's own account. Kept as long as raw readings: every look that was lost, every change, and one a day
(app/push/near_rows.py).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements.models import NearLook
from app.measurements.near import Near, NearAccount, NearSeen, NearStretch

MAX_STRETCHES = 100  # of one outage; a device that flaps more often than that tells nothing

INSERT = text("""
    INSERT INTO near_look (site_id, slot, lost, lan, terminal, carrier)
    SELECT site_id, slot, lost, lan, terminal, carrier FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, slot timestamptz, lost boolean, lan boolean, terminal boolean, carrier boolean)
    ORDER BY site_id, slot ON CONFLICT DO NOTHING
""")
OUTAGES = 'json_to_recordset(cast(:rows AS json)) AS o(id bigint, site_id int, start timestamptz, "end" timestamptz)'
# Looks in a row that saw the same are one stretch: the difference of the two numbers is the same within it.
STRETCHES = text(f"""
    WITH numbered AS (
        SELECT o.id, l.slot, l.lan, l.terminal, l.carrier,
            row_number() OVER (PARTITION BY o.id ORDER BY l.slot)
                - row_number() OVER (PARTITION BY o.id, l.lan, l.terminal, l.carrier ORDER BY l.slot) AS island
        FROM {OUTAGES} JOIN near_look l ON l.site_id = o.site_id AND l.slot >= o.start AND l.slot < o."end" AND l.lost
    )
    SELECT * FROM (
        SELECT id, min(slot) AS started_at, max(slot) AS ended_at, count(*) AS looks, lan, terminal, carrier,
            row_number() OVER (PARTITION BY id ORDER BY min(slot)) AS nth
        FROM numbered GROUP BY id, island, lan, terminal, carrier
    ) stretches WHERE nth <= {MAX_STRETCHES} ORDER BY id, nth
""")
BEFORE = text(f"""
    SELECT o.id, l.lan, l.terminal, l.carrier FROM {OUTAGES} CROSS JOIN LATERAL (
        SELECT lan, terminal, carrier FROM near_look l
        WHERE l.site_id = o.site_id AND l.slot <= o.start AND NOT l.lost ORDER BY l.slot DESC LIMIT 1
    ) l
""")


class OutageSpan(NamedTuple):
    """An outage, under any id, from its last answer to its end."""

    id: int
    site_id: int
    start: datetime
    end: datetime


async def record(session: AsyncSession, looks: Sequence[Mapping[str, Any]]) -> None:
    """Insert looks; those that are stored already stay as they are."""
    if looks:
        await session.execute(INSERT, {"rows": orjson.dumps(list(looks)).decode()})


async def of_outages(session: AsyncSession, outages: Sequence[OutageSpan]) -> dict[int, NearAccount]:
    """Return the accounts by the outages' ids; an outage of which its device told nothing is left out."""
    if not outages:
        return {}
    rows = orjson.dumps([outage._asdict() for outage in outages]).decode()
    stretches: dict[int, list[NearStretch]] = {}
    for row in await session.execute(STRETCHES, {"rows": rows}):
        near = Near(row.lan, row.terminal, row.carrier)
        stretches.setdefault(row.id, []).append(NearStretch(row.started_at, row.ended_at, row.looks, near))
    if not stretches:
        return {}
    before = {id: Near(*near) for id, *near in await session.execute(BEFORE, {"rows": rows})}
    return {id: NearAccount(told, before.get(id, Near())) for id, told in stretches.items()}


async def find_last_lost(session: AsyncSession, site_id: int, after: datetime, until: datetime) -> NearSeen | None:
    """Return the last lost look in [after, until] and what it saw, or None."""
    row = await session.scalar(
        select(NearLook)
        .where(NearLook.site_id == site_id, NearLook.lost, NearLook.slot.between(after, until))
        .order_by(NearLook.slot.desc())
        .limit(1)
    )
    return None if row is None else NearSeen(row.slot, Near(row.lan, row.terminal, row.carrier))


async def delete_old(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(NearLook).where(NearLook.slot < before))
