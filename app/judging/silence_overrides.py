"""Overrides a recorded silence once the device's own readings from around then have arrived.

A silence says that a push was due at its second and did not arrive in time. Readings that the device took around then,
whenever they arrive, show that it was running: the silence then becomes a fault, and those readings count instead.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.core.freshness import LATE_SHARE
from app.judging.judge import GOOD
from app.judging.judge_state_store import as_json
from app.profiles import LONGEST_INTERVAL_S, Technology, profiles
from app.registry.models import State
from probes.contract import AGENT, SILENCE, Outcome, Reading

REASON = "heard later"
NEAR = f"interval '{LONGEST_INTERVAL_S} seconds'"
# A device's reading counts from one beat before the silence until as late as would still have been in time; the push
# that ends a silence comes later than that and overrides nothing. Only stored rows decide: the order of arrival does
# not matter.
OVERRIDE = text(f"""
    UPDATE measurement m SET outcome = 'fault', reason = '{REASON}'
    FROM json_to_recordset(cast(:rows AS json)) AS w(site_id int, first timestamptz, last timestamptz, beat_s int)
    WHERE m.site_id = w.site_id AND m.source = '{SILENCE}' AND m.outcome = 'timeout'
        AND m.slot > w.first - {NEAR} AND m.slot < w.last + {NEAR}
        AND m.slot > cast(:first AS timestamptz) - {NEAR} AND m.slot < cast(:last AS timestamptz) + {NEAR}
        AND EXISTS (
            SELECT FROM measurement a
            WHERE a.site_id = m.site_id AND a.source = '{AGENT}' AND a.outcome <> 'fault'
                AND a.slot > m.slot - make_interval(secs => least(w.beat_s, m.valid_s))
                AND a.slot <= m.slot + make_interval(secs => least(w.beat_s, {LATE_SHARE} * m.valid_s))
        )
    RETURNING m.site_id, m.slot
""")

SilenceKey = tuple[int, datetime]  # site, slot


async def override_silences(
    session: AsyncSession, readings: Mapping[int, Sequence[Reading]], rows: Mapping[int, Row[Any]]
) -> set[SilenceKey]:
    """Turn the silences that these recorded readings (by site) refute into faults; return their keys."""
    ranges = [
        _searched_range(rows[site_id], of_site)
        for site_id, of_site in readings.items()
        if _may_have_silences(rows[site_id], of_site)
    ]
    if not ranges:
        return set()
    bounds = {"first": min(row["first"] for row in ranges), "last": max(row["last"] for row in ranges)}
    overridden = await session.execute(OVERRIDE, {"rows": as_json(ranges), **bounds})
    return {(row.site_id, row.slot) for row in overridden}


def with_overrides(readings: Sequence[Reading], overridden: Collection[SilenceKey]) -> list[Reading]:
    return [
        replace(reading, outcome=Outcome.FAULT, reason=REASON)
        if reading.source == SILENCE and (reading.key, from_slot(reading.slot)) in overridden
        else reading
        for reading in readings
    ]


def _may_have_silences(row: Row[Any], readings: Sequence[Reading]) -> bool:
    """Whether there may be a silence near these readings: none follows the last answer of a site in a good state."""
    if all(reading.source not in {AGENT, SILENCE} for reading in readings):
        return False
    answered_last = State(row.state) in GOOD and row.pending_at is None and row.evidence_at == row.seen_at
    return not answered_last or any(
        reading.source == SILENCE or from_slot(reading.slot) <= row.seen_at for reading in readings
    )


def _searched_range(row: Row[Any], readings: Sequence[Reading]) -> dict[str, Any]:
    slots = [reading.slot for reading in readings]
    beat_s = profiles()[Technology(row.technology)].beat_s
    return {"site_id": row.site_id, "first": from_slot(min(slots)), "last": from_slot(max(slots)), "beat_s": beat_s}
