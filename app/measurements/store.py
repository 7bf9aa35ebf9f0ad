"""Stores readings, each once, and finds them again."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements.models import Measurement
from probes.contract import Outcome, Reading

# The share lock makes whoever closes an hour wait for us: either the count of that hour sees our rows, or we see that
# it is closed and make it stale. No clock decides it.
RECORD = text("""
    WITH closed AS (
        SELECT upto FROM rollup_watermark WHERE stage = 'closed' FOR SHARE
    ), fresh AS (
        INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us, reason)
        SELECT n.key, to_timestamp(n.slot), n.source, n.outcome, n.sent, n.valid_s, n.rtt_us, n.reason
        FROM json_to_recordset(cast(:rows AS json)) AS n(
            key int, slot bigint, source text, outcome text, sent int, valid_s int, rtt_us int[], reason text)
        ON CONFLICT DO NOTHING RETURNING site_id, slot
    ), made_stale AS (
        INSERT INTO stale_hour (site_id, hour)
        SELECT DISTINCT site_id, date_trunc('hour', slot, 'UTC') FROM fresh, closed WHERE slot < closed.upto
        ORDER BY 1, 2 ON CONFLICT DO NOTHING
    )
    SELECT site_id, slot FROM fresh
""")
DELETE_FROM = text("""
    WITH deleted AS (DELETE FROM measurement WHERE slot >= :at AND source = ANY(:sources) RETURNING site_id)
    SELECT DISTINCT site_id FROM deleted
""")
POP_FROM = text("""
    DELETE FROM measurement WHERE slot >= :at AND source = :source
    RETURNING site_id, extract(epoch FROM slot)::bigint, outcome, sent, rtt_us, valid_s, reason, source
""")
OCCUPIED_SLOTS = text("""
    SELECT m.site_id, extract(epoch FROM m.slot)::bigint, m.outcome = 'ok'
    FROM unnest(cast(:sites AS int[]), cast(:slots AS bigint[])) AS n(site_id, slot)
        JOIN measurement m ON m.site_id = n.site_id AND m.slot = to_timestamp(n.slot) AND m.source = :source
    WHERE m.slot >= to_timestamp(:first) AND m.slot <= to_timestamp(:last)
""")
# The alphabet ranks sources: agent, central, silence.
SOURCES = text("""
    SELECT n.site_id, n.slot, n.outcome, min(m.source) AS source
    FROM unnest(cast(:sites AS int[]), cast(:slots AS timestamptz[]), cast(:outcomes AS text[]))
            AS n(site_id, slot, outcome)
        JOIN measurement m ON m.site_id = n.site_id AND m.slot = n.slot AND m.outcome = n.outcome
    WHERE m.slot >= :first AND m.slot <= :last GROUP BY 1, 2, 3
""")

MeasurementKey = tuple[int, datetime, Outcome]  # site, slot, outcome


async def sources_of(session: AsyncSession, keys: Collection[MeasurementKey]) -> dict[MeasurementKey, str]:
    """Return the source of each of these readings, without those that are no longer stored.

    Of several, a device's reading ranks before our own, and silence last.
    """
    if not keys:
        return {}
    sites, slots, outcomes = zip(*keys, strict=True)
    rows = await session.execute(
        SOURCES,
        {
            "sites": list(sites),
            "slots": list(slots),
            "outcomes": [outcome.value for outcome in outcomes],
            "first": min(slots),
            "last": max(slots),
        },
    )
    return {(row.site_id, row.slot, Outcome(row.outcome)): row.source for row in rows}


async def record(session: AsyncSession, readings: Sequence[Reading]) -> list[tuple[int, datetime]]:
    """Store each reading once; return (site, slot) of those that are new. Idempotent.

    A new reading of an hour that was closed already makes that hour stale.
    """
    if not readings:
        return []
    rows = await session.execute(RECORD, {"rows": orjson.dumps(list(readings)).decode()})
    return [(row.site_id, row.slot) for row in rows]


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
    slots = [reading.slot for reading in readings]
    parameters = {
        "sites": [reading.key for reading in readings],
        "slots": slots,
        "first": min(slots),
        "last": max(slots),
        "source": readings[0].source,
    }
    rows = await session.execute(OCCUPIED_SLOTS, parameters)
    return {(site_id, slot): is_answered for site_id, slot, is_answered in rows}


async def delete_from(session: AsyncSession, at: datetime, *, sources: Sequence[str]) -> list[int]:
    """Delete the readings of these sources with slots from `at` on; return the sites that lost any."""
    return list(await session.scalars(DELETE_FROM, {"at": at, "sources": list(sources)}))


async def pop_from(session: AsyncSession, at: datetime, *, source: str) -> list[Reading]:
    """Delete the readings of this source with slots from `at` on, and return them."""
    rows = await session.execute(POP_FROM, {"at": at, "source": source})
    return [
        Reading(site_id, slot, Outcome(outcome), sent, tuple(rtt_us), *rest)
        for site_id, slot, outcome, sent, rtt_us, *rest in rows
    ]


async def list_measurements(
    session: AsyncSession,
    site_id: int,
    start: datetime,
    end: datetime,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Measurement]:
    """Return a site's readings in [start, end) by slot and source, beyond the (slot, source) of `after`."""
    query = (
        select(Measurement)
        .where(Measurement.site_id == site_id, Measurement.slot >= start, Measurement.slot < end)
        .order_by(Measurement.slot, Measurement.source)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Measurement.slot, Measurement.source) > after)
    return list(await session.scalars(query))


async def list_last_before(
    session: AsyncSession, site_id: int, start: datetime, end: datetime, *, limit: int
) -> list[Measurement]:
    """Return the last readings of a site in [start, end), oldest first."""
    query = (
        select(Measurement)
        .where(Measurement.site_id == site_id, Measurement.slot >= start, Measurement.slot < end)
        .order_by(Measurement.slot.desc(), Measurement.source.desc())
        .limit(limit)
    )
    return list(await session.scalars(query))[::-1]
