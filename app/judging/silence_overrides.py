"""What a device measured wins over what was inferred while it was not heard.

A silence says that a push was due at its second and did not come in time. Readings of the device from about then,
whenever they arrive, show that it was at work: then the silence says nothing, and they say what there is to know.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.core.freshness import LATE
from app.judging.judge import GOOD
from app.judging.judge_state_store import as_json
from app.profiles import Technology, profiles
from app.registry.models import State
from probes.contract import AGENT, SILENCE, Outcome, Reading

REASON = "heard later"
# From the one measurement before the silence to the one that would have been in time; the push that ends a silence,
# later than that, does not undo it. A function of what is stored alone: the order of arrival does not matter.
HEARD = text(f"""
    UPDATE measurement m SET outcome = 'fault', reason = '{REASON}'
    FROM json_to_recordset(cast(:rows AS json)) AS w(site_id int, first timestamptz, last timestamptz, beat_s int)
    WHERE m.site_id = w.site_id AND m.source = '{SILENCE}' AND m.outcome = 'timeout'
        AND m.slot > w.first - interval '1 hour' AND m.slot < w.last + interval '1 hour'
        AND m.slot > cast(:first AS timestamptz) - interval '1 hour'
        AND m.slot < cast(:last AS timestamptz) + interval '1 hour'
        AND EXISTS (
            SELECT FROM measurement a
            WHERE a.site_id = m.site_id AND a.source = '{AGENT}' AND a.outcome <> 'fault'
                AND a.slot > m.slot - make_interval(secs => least(w.beat_s, m.valid_s))
                AND a.slot <= m.slot + make_interval(secs => least(w.beat_s, {LATE} * m.valid_s))
        )
    RETURNING m.site_id, m.slot
""")

Fresh = Mapping[int, Sequence[Reading]]


async def override_silences(
    session: AsyncSession, fresh: Fresh, rows: Mapping[int, Row[Any]]
) -> set[tuple[int, datetime]]:
    """(site, slot) of the silences that are refuted with these readings, which have been recorded."""
    wanted = [_wanted(rows[site_id], found) for site_id, found in fresh.items() if _bears(rows[site_id], found)]
    if not wanted:
        return set()
    bounds = {"first": min(one["first"] for one in wanted), "last": max(one["last"] for one in wanted)}
    found = await session.execute(HEARD, {"rows": as_json(wanted), **bounds})
    return {(row.site_id, row.slot) for row in found}


def with_overrides(readings: Sequence[Reading], overruled: Collection[tuple[int, datetime]]) -> list[Reading]:
    return [
        replace(one, outcome=Outcome.FAULT, reason=REASON)
        if one.source == SILENCE and (one.key, from_slot(one.slot)) in overruled
        else one
        for one in readings
    ]


def _bears(row: Row[Any], readings: Sequence[Reading]) -> bool:
    """Whether there may be a silence next to them: none follows the last answer of a site that is well."""
    if all(one.source not in {AGENT, SILENCE} for one in readings):
        return False
    well = State(row.state) in GOOD and row.pending_at is None and row.evidence_at == row.seen_at
    return not well or any(one.source == SILENCE or from_slot(one.slot) <= row.seen_at for one in readings)


def _wanted(row: Row[Any], readings: Sequence[Reading]) -> dict[str, Any]:
    slots = [one.slot for one in readings]
    beat_s = profiles()[Technology(row.technology)].beat_s
    return {"site_id": row.site_id, "first": from_slot(min(slots)), "last": from_slot(max(slots)), "beat_s": beat_s}
