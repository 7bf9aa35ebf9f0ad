"""Readings as rows."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements.models import Measurement
from probes.contract import Outcome, Reading

# The lock makes whoever closes an hour wait for us: either the count of that hour sees our rows, or we see that it is
# closed and leave a mark. Nobody's clock decides it.
RECORD = text("""
    WITH closed AS (
        SELECT upto FROM rollup_watermark WHERE stage = 'closed' FOR SHARE
    ), fresh AS (
        INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us, reason)
        SELECT n.key, to_timestamp(n.slot), n.source, n.outcome, n.sent, n.valid_s, n.rtt_us, n.reason
        FROM json_to_recordset(cast(:rows AS json)) AS n(
            key int, slot bigint, source text, outcome text, sent int, valid_s int, rtt_us int[], reason text)
        ON CONFLICT DO NOTHING RETURNING site_id, slot
    ), marked AS (
        INSERT INTO stale_hour (site_id, hour)
        SELECT DISTINCT site_id, date_trunc('hour', slot, 'UTC') FROM fresh, closed WHERE slot < closed.upto
        ORDER BY 1, 2 ON CONFLICT DO NOTHING
    )
    SELECT site_id, slot FROM fresh
""")


DROP_FROM = text("""
    WITH dropped AS (DELETE FROM measurement WHERE slot >= :at AND source = ANY(:sources) RETURNING site_id)
    SELECT DISTINCT site_id FROM dropped
""")
TAKE_FROM = text("""
    DELETE FROM measurement WHERE slot >= :at AND source = :source
    RETURNING site_id, extract(epoch FROM slot)::bigint, outcome, sent, rtt_us, valid_s, reason, source
""")
TAKEN = text("""
    SELECT m.site_id, extract(epoch FROM m.slot)::bigint
    FROM unnest(cast(:sites AS int[]), cast(:slots AS bigint[])) AS n(site_id, slot)
        JOIN measurement m ON m.site_id = n.site_id AND m.slot = to_timestamp(n.slot) AND m.source = :source
    WHERE m.slot >= to_timestamp(:first) AND m.slot <= to_timestamp(:last)
""")


BEGUN = text("""
    SELECT n.site_id, n.slot, n.outcome, min(m.source) AS source
    FROM unnest(cast(:sites AS int[]), cast(:slots AS timestamptz[]), cast(:outcomes AS text[]))
            AS n(site_id, slot, outcome)
        JOIN measurement m ON m.site_id = n.site_id AND m.slot = n.slot AND m.outcome = n.outcome
    WHERE m.slot >= :first AND m.slot <= :last GROUP BY 1, 2, 3
""")

MeasurementKey = tuple[int, datetime, Outcome]  # of a site, at a second


async def sources_of(session: AsyncSession, looks: Collection[MeasurementKey]) -> dict[MeasurementKey, str]:
    """Where readings of that site, second and outcome came from; those that are kept no more are left out.

    Where there are several, what a device measured comes before our own look, and silence last.
    """
    if not looks:
        return {}
    sites, slots, outcomes = zip(*looks, strict=True)
    rows = await session.execute(
        BEGUN,
        {
            "sites": list(sites),
            "slots": list(slots),
            "outcomes": [one.value for one in outcomes],
            "first": min(slots),
            "last": max(slots),
        },
    )
    return {(row.site_id, row.slot, Outcome(row.outcome)): row.source for row in rows}


async def record(session: AsyncSession, readings: Sequence[Reading]) -> list[tuple[int, datetime]]:
    """Keeps each reading once: (site, slot, source) is its identity, so a batch may come twice.

    Answers (site, slot) of those that are new; what is new in an hour that was counted already has it counted again.
    """
    if not readings:
        return []
    found = await session.execute(RECORD, {"rows": orjson.dumps(list(readings)).decode()})
    return [(row.site_id, row.slot) for row in found]


async def in_distinct_slots(session: AsyncSession, readings: Sequence[Reading]) -> list[Reading]:
    """Each of them in a second of its own: where one has been taken by another of its site and source, in a later one.

    For readings of which each is known to be new: none may be lost because it shares its second.
    """
    found: list[Reading] = []
    used: set[tuple[int, int]] = set()
    waiting = list(readings)
    while waiting:
        taken = used | await _taken(session, waiting)
        moved = []
        for one in waiting:
            slot = one.slot
            while (one.key, slot) in taken:
                slot += 1
            taken.add((one.key, slot))
            if slot == one.slot:
                used.add((one.key, slot))
                found.append(one)
            else:
                moved.append(replace(one, slot=slot))
        waiting = moved
    return found


async def in_free_slots(session: AsyncSession, readings: Sequence[Reading], among: Sequence[Reading]) -> list[Reading]:
    """One of each second, where neither `among` nor what is kept has one of its site and source."""
    if not readings:
        return []
    taken = {(one.key, one.slot) for one in among} | await _taken(session, readings)
    return [one for key, one in {(one.key, one.slot): one for one in readings}.items() if key not in taken]


async def _taken(session: AsyncSession, readings: Sequence[Reading]) -> set[tuple[int, int]]:
    slots = [one.slot for one in readings]
    bounds = {"first": min(slots), "last": max(slots), "source": readings[0].source}
    rows = await session.execute(TAKEN, {"sites": [one.key for one in readings], "slots": slots, **bounds})
    return {(site_id, slot) for site_id, slot in rows}


async def delete_from(session: AsyncSession, at: datetime, *, sources: Sequence[str]) -> list[int]:
    """The sites that lost readings with slots from `at` on."""
    return list(await session.scalars(DROP_FROM, {"at": at, "sources": list(sources)}))


async def pop_from(session: AsyncSession, at: datetime, *, source: str) -> list[Reading]:
    """The readings with slots from `at` on: they are gone from here."""
    rows = await session.execute(TAKE_FROM, {"at": at, "source": source})
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
    query = (
        select(Measurement)
        .where(Measurement.site_id == site_id, Measurement.slot >= start, Measurement.slot < end)
        .order_by(Measurement.slot, Measurement.source)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Measurement.slot, Measurement.source) > after)
    return list(await session.scalars(query))
