"""Read what changed since the snapshot's last refresh, and the worker's heartbeats."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ROWS = text("""
    WITH changed AS (
        SELECT id AS site_id FROM site WHERE version > :registry UNION SELECT unnest(cast(:site_ids AS int[]))
        UNION SELECT m.site_id FROM incident_site m JOIN incident i ON i.id = m.incident_id WHERE i.version > :incident
    )
    SELECT s.id, s.code, s.name, s.kind, s.village_code, s.technology, s.provider_id, p.slug AS provider, s.latitude,
        s.longitude, s.lifecycle, s.probe, st.state, st.unknown_reason, st.since, st.evidence_at,
        st.valid_s, st.last_ok_at, st.rtt_us, st.loss_pct, nullif(st.lost_from, '{}') AS lost_from, i.id AS incident_id,
        i.acknowledged_at IS NOT NULL AS acknowledged
    FROM changed JOIN site s ON s.id = changed.site_id JOIN site_status st ON st.site_id = s.id
        JOIN provider p ON p.id = s.provider_id
        LEFT JOIN incident_site m ON m.site_id = s.id AND m.ended_at IS NULL AND m.withdrawn_at IS NULL
        LEFT JOIN incident i ON i.id = m.incident_id
    ORDER BY s.id
""")
MOVED = text("""
    SELECT site_id, state, unknown_reason, since, evidence_at, valid_s, last_ok_at, rtt_us, loss_pct,
        nullif(lost_from, '{}') AS lost_from
    FROM site_status WHERE version > :status
""")
COUNTERS = """
    SELECT coalesce(max(version) FILTER (WHERE name = 'generation'), 0) AS generation,
        max(version) FILTER (WHERE name = 'status') AS status,
        max(version) FILTER (WHERE name = 'registry') AS registry,
        max(version) FILTER (WHERE name = 'incident') AS incident
    FROM change_counter
"""
COUNTERS_AND_BEATS = text(f"""
    SELECT c.*, b.* FROM ({COUNTERS}) c LEFT JOIN (SELECT source, beat_at, blind_since FROM worker_beat) b ON true
""")
PROVIDERS = text("SELECT slug, name FROM provider")
BATCH_ROWS = 2000
FETCH_S = 15.0

Beat = tuple[datetime, datetime | None]  # of a worker: the last one, and blind since


class ChangeCounters(NamedTuple):
    """The versions that the database counts."""

    generation: int
    status: int
    registry: int
    incident: int


class CountersAndBeats(NamedTuple):
    """In one statement: what is read each second is little beside the way there."""

    counters: ChangeCounters
    beats: dict[str, Beat]  # by source


async def get_counters_and_beats(session: AsyncSession) -> CountersAndBeats:
    return _counters_and_beats((await session.execute(COUNTERS_AND_BEATS)).all())


async def fetch_counters_and_beats(connection: asyncpg.Connection) -> CountersAndBeats:
    """As `get_counters_and_beats`, for who asks again and again: without session and transaction at a third of the
    cost."""
    return _counters_and_beats(await connection.fetch(COUNTERS_AND_BEATS.text, timeout=FETCH_S))


def _counters_and_beats(rows: Sequence[Any]) -> CountersAndBeats:
    beats = {source: (beat_at, blind_since) for *_, source, beat_at, blind_since in rows if source is not None}
    return CountersAndBeats(ChangeCounters(*rows[0][:4]), beats)


async def stream_changed(
    session: AsyncSession, *, registry: int, incident: int, site_ids: Collection[int] = ()
) -> AsyncIterator[Sequence[Any]]:
    """Yield whole rows of sites that the registry or an incident changed, and of these sites; in batches, so that
    100,000 are never in memory at once."""
    params = {"registry": registry, "incident": incident, "site_ids": list(site_ids)}
    async for batch in (await session.stream(ROWS, params)).partitions(BATCH_ROWS):
        yield batch


async def stream_moved(session: AsyncSession, *, status: int) -> AsyncIterator[Sequence[Any]]:
    """Yield what judgement moved, of sites of any lifecycle."""
    async for batch in (await session.stream(MOVED, {"status": status})).partitions(BATCH_ROWS):
        yield batch


async def get_provider_names(session: AsyncSession) -> dict[str, str]:
    """By slug."""
    return {row.slug: row.name for row in await session.execute(PROVIDERS)}
