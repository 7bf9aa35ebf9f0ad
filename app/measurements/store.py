"""Stores readings, each once, and finds them again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot
from app.measurements import pack_store, partitions, reader
from app.measurements.recording import record_block
from app.measurements.row_columns import SELECTED, block_of_columns
from probes.contract import AGENT, SILENCE, VANTAGES, Outcome, Reading
from probes.reading_block import OK, SOURCE_CODES, ReadingBlock

SECOND = timedelta(seconds=1)
FIRST_WINDOW = timedelta(hours=3)
RANKS = (AGENT, *VANTAGES, SILENCE)

DELETE_FROM = text("""
    WITH deleted AS (DELETE FROM measurement WHERE slot >= :at AND source = ANY(:sources) RETURNING site_id)
    SELECT DISTINCT site_id FROM deleted
""")
POP_FROM = text(f"""
    WITH m AS (DELETE FROM measurement WHERE slot >= :at AND source = :source RETURNING *) SELECT {SELECTED} FROM m
""")

# Closed hours are locked as in recording: either their count sees the faults, or they become stale.
MAKE_FAULTS = text("""
    WITH closed AS (
        SELECT upto FROM rollup_watermark WHERE stage = 'closed' FOR SHARE
    ), changed AS (
        UPDATE measurement m SET outcome = 'fault', reason = :reason
        FROM unnest(cast(:sites AS int[]), cast(:since AS timestamptz[])) AS n(site_id, since)
        WHERE m.site_id = n.site_id AND m.source = ANY(:sources) AND m.outcome <> 'fault'
            AND m.slot >= n.since AND m.slot >= :first
        RETURNING m.site_id, m.slot
    ), made_stale AS (
        INSERT INTO stale_hour (site_id, hour)
        SELECT DISTINCT site_id, date_trunc('hour', slot, 'UTC') FROM changed WHERE slot < (SELECT upto FROM closed)
        ORDER BY 1, 2 ON CONFLICT DO NOTHING
    )
    SELECT DISTINCT site_id FROM changed
""")

MeasurementKey = tuple[int, datetime, Outcome]  # site, slot, outcome


async def sources_of(session: AsyncSession, keys: Collection[MeasurementKey]) -> dict[MeasurementKey, str]:
    """Return the source of each of these readings, without those that are no longer stored.

    Of several, a device's reading ranks before our own, and silence last.
    """
    found: dict[MeasurementKey, str] = {}
    for reading in (await reader.read(session, ((site_id, at, at + SECOND) for site_id, at, _ in keys))).readings():
        key = reading.key, from_slot(reading.slot), reading.outcome
        found[key] = min(found.get(key, reading.source), reading.source, key=RANKS.index)
    return {key: found[key] for key in keys if key in found}


async def record(session: AsyncSession, readings: Sequence[Reading]) -> list[tuple[int, datetime]]:
    """Store each reading once; return (site, slot) of those that are new. Idempotent.

    A new reading of an hour that was closed already makes that hour stale.
    """
    is_new = await record_block(session, ReadingBlock.of(readings))
    return [(readings[row].key, from_slot(readings[row].slot)) for row in np.flatnonzero(is_new).tolist()]


async def in_distinct_slots(
    session: AsyncSession, readings: Sequence[Reading], *, among: Sequence[Reading] = ()
) -> list[Reading]:
    """Return the readings, moved to later slots where another one of their site and source occupies theirs.

    For readings known to be new: none may be lost because it shares its second. All are of one source; `among` are
    about to be stored with them.
    """
    placed: list[Reading] = []
    used = {(reading.key, reading.slot) for reading in among}
    waiting = list(readings)
    while waiting:
        occupied = used | (await _occupied_slots(session, waiting)).keys()
        moved = []
        for reading in waiting:
            slot = reading.slot
            while (reading.key, slot) in occupied:
                slot += 1
            occupied.add((reading.key, slot))
            if slot == reading.slot:
                used.add((reading.key, slot))
                placed.append(reading)
            else:
                moved.append(replace(reading, slot=slot))  # whether that slot is free is looked up next
        waiting = moved
    return placed


async def without_answered_slots(
    session: AsyncSession, readings: Sequence[Reading], among: Sequence[Reading]
) -> list[Reading]:
    """Return one reading per site and slot, none where `among` or the store has an answered one of their source."""
    if not readings:
        return []
    answered = {(reading.key, reading.slot) for reading in among if reading.outcome is Outcome.OK}
    answered |= {slot for slot, is_answered in (await _occupied_slots(session, readings)).items() if is_answered}
    per_slot = {(reading.key, reading.slot): reading for reading in readings}
    return [reading for slot, reading in per_slot.items() if slot not in answered]


async def _occupied_slots(session: AsyncSession, readings: Sequence[Reading]) -> dict[tuple[int, int], bool]:
    """Return the (site, slot) of these that are taken in the store, each with whether the reading there is answered."""
    moments = ((reading.key, from_slot(reading.slot)) for reading in readings)
    ranges = ((site_id, at, at + SECOND) for site_id, at in moments)
    stored = await reader.read(session, ranges, sources=[readings[0].source])
    taken = zip(stored.key.tolist(), stored.slot.tolist(), strict=True)
    return dict(zip(taken, (stored.outcome == OK).tolist(), strict=True))


async def delete_from(session: AsyncSession, at: datetime, *, sources: Sequence[str]) -> list[int]:
    """Delete the readings of these sources with slots from `at` on; return the sites that lost any."""
    await partitions.reopen(session, at)
    site_ids = set(await session.scalars(DELETE_FROM, {"at": at, "sources": list(sources)}))
    packed = await pack_store.cut_from(session, at, sources=[SOURCE_CODES[source] for source in sources])
    return sorted(site_ids.union(packed.key.tolist()))


async def pop_from(session: AsyncSession, at: datetime, *, source: str) -> list[Reading]:
    """Delete the readings of this source with slots from `at` on, and return them."""
    await partitions.reopen(session, at)
    rows = block_of_columns((await session.execute(POP_FROM, {"at": at, "source": source})).one())
    packed = await pack_store.cut_from(session, at, sources=[SOURCE_CODES[source]])
    return ReadingBlock.concat([rows, packed]).distinct().readings()


async def make_faults(
    session: AsyncSession, since: Mapping[int, datetime], *, sources: Sequence[str], reason: str
) -> set[int]:
    """Turn the readings of these sources since a moment, by site, into faults of ours; return the sites that had any.

    For readings stored a moment ago: of hours that are packed none changes.
    """
    if not since:
        return set()
    parameters = {"sites": list(since), "since": list(since.values()), "first": min(since.values())}
    return set(await session.scalars(MAKE_FAULTS, parameters | {"sources": list(sources), "reason": reason}))


async def list_readings(
    session: AsyncSession,
    site_id: int,
    start: datetime,
    end: datetime,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Reading]:
    """Return a site's first readings in [start, end) by slot and source, beyond the (slot, source) of `after`."""
    seen = (to_slot(after[0]), after[1]) if after is not None else (-1, "")
    low, window, found = start if after is None else max(start, after[0]), FIRST_WINDOW, list[Reading]()
    while low < end and len(found) < limit:
        high = min(end, low + window)
        found += _ordered(await reader.read(session, [(site_id, low, high)]), beyond=seen)
        low, window = high, 4 * window
    return found[:limit]


async def list_last_before(
    session: AsyncSession, site_id: int, start: datetime, end: datetime, *, limit: int
) -> list[Reading]:
    """Return the last readings of a site in [start, end), oldest first."""
    high, window, found = end, FIRST_WINDOW, list[Reading]()
    while start < high and len(found) < limit:
        low = max(start, high - window)
        found = _ordered(await reader.read(session, [(site_id, low, high)])) + found
        high, window = low, 4 * window
    return found[-limit:]


def _ordered(block: ReadingBlock, *, beyond: tuple[int, str] = (-1, "")) -> list[Reading]:
    readings = [reading for reading in block.readings() if (reading.slot, reading.source) > beyond]
    return sorted(readings, key=lambda reading: (reading.slot, reading.source))
