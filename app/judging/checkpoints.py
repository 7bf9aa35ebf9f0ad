"""Hourly judge states, kept as long as readings are: where a rejudgement starts, and may stop."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging import gate
from app.judging.carry import Carry, state_of
from app.judging.fold import FoldResult
from app.judging.judge import JudgeState
from app.judging.judge_state_store import as_json, state_fields, state_from_checkpoint
from app.measurements.reader import SiteRange

KEPT_LONGER = timedelta(days=1)

RANGES = "json_to_recordset(cast(:rows AS json)) AS w(site_id int, start timestamptz, until timestamptz)"
LAST_BEFORE = text(f"""
    SELECT w.site_id, c.at, c.carry::text FROM {RANGES}, LATERAL (
        SELECT at, carry FROM checkpoint c WHERE c.site_id = w.site_id AND c.at <= w.start ORDER BY at DESC LIMIT 1) c
""")
EARLIEST = text(f"""
    SELECT w.site_id, c.at, c.carry::text FROM {RANGES}, LATERAL (
        SELECT at, carry FROM checkpoint c WHERE c.site_id = w.site_id ORDER BY at LIMIT 1) c
""")
WITHIN = text(f"""
    SELECT c.site_id, c.at, c.carry::text FROM {RANGES} JOIN checkpoint c USING (site_id)
    WHERE c.at > w.start AND c.at <= w.until
""")
DELETE = text(
    f"DELETE FROM checkpoint c USING {RANGES} WHERE c.site_id = w.site_id AND c.at > w.start AND c.at <= w.until"
)
SAVE = text("""
    INSERT INTO checkpoint (site_id, at, carry) SELECT site_id, at, carry
    FROM json_populate_recordset(NULL::checkpoint, cast(:rows AS json))
    ON CONFLICT (site_id, at) DO UPDATE SET carry = excluded.carry
""")


async def find_last_before(
    session: AsyncSession, ranges: Iterable[SiteRange]
) -> dict[int, tuple[datetime, JudgeState]]:
    """Return each site's last checkpoint that is not later than the start of its range."""
    return await _one_per_site(session, LAST_BEFORE, ranges)


async def find_earliest(session: AsyncSession, ranges: Iterable[SiteRange]) -> dict[int, tuple[datetime, JudgeState]]:
    """Return each site's first checkpoint of all."""
    return await _one_per_site(session, EARLIEST, ranges)


async def _one_per_site(
    session: AsyncSession, query: TextClause, ranges: Iterable[SiteRange]
) -> dict[int, tuple[datetime, JudgeState]]:
    rows = await session.execute(query, range_params(ranges))
    return {site_id: (at, state_from_checkpoint(stored)) for site_id, at, stored in rows}


async def list_within(session: AsyncSession, ranges: Iterable[SiteRange]) -> dict[int, dict[datetime, JudgeState]]:
    """Return by site and hour the checkpoints after the start of the site's range, its end included."""
    states: dict[int, dict[datetime, JudgeState]] = defaultdict(dict)
    for site_id, at, stored in await session.execute(WITHIN, range_params(ranges)):
        states[site_id][at] = state_from_checkpoint(stored)
    return states


async def save(session: AsyncSession, results: Mapping[int, FoldResult]) -> None:
    rows = [
        {"site_id": site_id, "at": at, "carry": state_fields(state)}
        for site_id, result in results.items()
        for at, state in result.checkpoints
    ]
    if rows:
        await session.execute(SAVE, {"rows": as_json(rows)})


async def save_carry(session: AsyncSession, before: Carry, slots: NDArray[np.int64]) -> None:
    """Save the checkpoint of each steady site of whose readings, in `slots`, one is the first beyond a full hour."""
    passing = np.flatnonzero(gate.passes_hour(before, slots))
    rows = [
        {"site_id": int(record["site_id"]), "at": from_slot(int(hour)), "carry": state_fields(state_of(record))}
        for record, hour in zip(before[passing], gate.hour_of(slots[passing]), strict=True)
    ]
    if rows:
        await session.execute(SAVE, {"rows": as_json(rows)})


async def delete(session: AsyncSession, ranges: Iterable[SiteRange]) -> None:
    await session.execute(DELETE, range_params(ranges))


async def delete_older(session: AsyncSession, than: datetime) -> None:
    await session.execute(text("DELETE FROM checkpoint WHERE at < :before"), {"before": than - KEPT_LONGER})


def range_params(ranges: Iterable[SiteRange]) -> dict[str, Any]:
    """Return the parameters of a statement with RANGES."""
    return {"rows": as_json([{"site_id": i, "start": start, "until": until} for i, start, until in ranges])}
