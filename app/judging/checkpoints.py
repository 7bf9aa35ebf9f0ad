"""What judgement carried at full hours, kept as long as readings are: where a rejudgement can begin, and may end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import judge_state_store
from app.judging.fold import FoldResult
from app.judging.judge import JudgeState
from app.judging.judge_state_store import as_json

KEPT_LONGER = timedelta(days=1)

RANGES = "json_to_recordset(cast(:rows AS json)) AS w(site_id int, start timestamptz, until timestamptz)"
BEFORE = text(f"""
    SELECT w.site_id, c.at, c.carry::text FROM {RANGES}, LATERAL (
        SELECT at, carry FROM checkpoint c WHERE c.site_id = w.site_id AND c.at <= w.start ORDER BY at DESC LIMIT 1) c
""")
EARLIEST = text(f"""
    SELECT w.site_id, c.at, c.carry::text FROM {RANGES}, LATERAL (
        SELECT at, carry FROM checkpoint c WHERE c.site_id = w.site_id ORDER BY at LIMIT 1) c
""")
BEYOND = text(f"""
    SELECT c.site_id, c.at, c.carry::text FROM {RANGES} JOIN checkpoint c USING (site_id)
    WHERE c.at > w.start AND c.at <= w.until
""")
FORGET = text(
    f"DELETE FROM checkpoint c USING {RANGES} WHERE c.site_id = w.site_id AND c.at > w.start AND c.at <= w.until"
)
KEEP = text("""
    INSERT INTO checkpoint (site_id, at, carry) SELECT site_id, at, carry
    FROM json_populate_recordset(NULL::checkpoint, cast(:rows AS json))
    ON CONFLICT (site_id, at) DO UPDATE SET carry = excluded.carry
""")

SiteRange = tuple[int, datetime, datetime]  # a site, and from when to when


async def find_last_before(
    session: AsyncSession, stretches: Iterable[SiteRange]
) -> dict[int, tuple[datetime, JudgeState]]:
    """By site, the last one that is not later than the start."""
    return await _one_each(session, BEFORE, stretches)


async def find_earliest(
    session: AsyncSession, stretches: Iterable[SiteRange]
) -> dict[int, tuple[datetime, JudgeState]]:
    return await _one_each(session, EARLIEST, stretches)


async def _one_each(
    session: AsyncSession, query: Any, stretches: Iterable[SiteRange]
) -> dict[int, tuple[datetime, JudgeState]]:
    rows = await session.execute(query, range_params(stretches))
    return {site_id: (at, judge_state_store.state_from_checkpoint(stored)) for site_id, at, stored in rows}


async def list_within(session: AsyncSession, stretches: Iterable[SiteRange]) -> dict[int, dict[datetime, JudgeState]]:
    """By site and hour: those after the start, up to the end."""
    found: dict[int, dict[datetime, JudgeState]] = defaultdict(dict)
    for site_id, at, stored in await session.execute(BEYOND, range_params(stretches)):
        found[site_id][at] = judge_state_store.state_from_checkpoint(stored)
    return found


async def save(session: AsyncSession, folded: Mapping[int, FoldResult]) -> None:
    rows = [
        {"site_id": site_id, "at": at, "carry": judge_state_store.state_fields(carry)}
        for site_id, one in folded.items()
        for at, carry in one.checkpoints
    ]
    if rows:
        await session.execute(KEEP, {"rows": as_json(rows)})


async def delete(session: AsyncSession, stretches: Iterable[SiteRange]) -> None:
    await session.execute(FORGET, range_params(stretches))


async def delete_older(session: AsyncSession, than: datetime) -> None:
    await session.execute(text("DELETE FROM checkpoint WHERE at < :before"), {"before": than - KEPT_LONGER})


def range_params(rows: Iterable[tuple[int, datetime, datetime]]) -> dict[str, Any]:
    return {"rows": as_json([{"site_id": i, "start": start, "until": until} for i, start, until in rows])}
