"""Write a simulated past in bulk: readings by COPY, skipped hours from each site's sample hours."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging import judge_state_store
from app.judging.judge import JudgeState
from app.judging.segments import FIELDS, Segment
from app.latency import rollup_hours, rollup_sql
from app.latency.histogram_sql import COLUMNS
from app.measurements import pack_store, partitions
from app.registry.regions import REGIONS_CSV
from probes.contract import Reading
from simulator.history.samples import HOUR_S, SAMPLE_SQL, SAMPLES, SiteSamples
from simulator.history.scenarios import HistorySite
from simulator.history.site_history import SiteHistory
from simulator.history.skipped_packs import LOST_SAMPLE, sample_readings, skipped_readings
from simulator.villages import addresses

READING_COLUMNS = ("site_id", "slot", "source", "outcome", "sent", "valid_s", "rtt_us", "reason")

HOLDS_ANYTHING = text("""
    SELECT EXISTS (SELECT FROM measurement) OR EXISTS (SELECT FROM reading_pack)
        OR EXISTS (SELECT FROM state_segment) OR EXISTS (SELECT FROM rollup_hour)
""")
HISTORY_SITES = text("""
    SELECT s.id, s.code, coalesce(s.host, s.code) AS host, s.village_code, s.provider_id, s.technology, s.power_source,
        s.parent_id, CASE WHEN s.probe = 'push' THEN 'agent' ELSE 'central' END
    FROM site s JOIN site_configuration c ON c.site_id = s.id
    WHERE s.lifecycle = 'active'
    GROUP BY s.id HAVING count(*) = 1 ORDER BY s.id
""")
# The sites have been registered since the beginning of the past.
BACKDATE_SITES = (
    "UPDATE site SET created_at = :start, addressed_at = :start WHERE id = ANY(:ids)",
    "UPDATE site_configuration SET started_at = :start, addressed_at = :start WHERE site_id = ANY(:ids)",
    "UPDATE site_status SET since = :start, addressed_at = :start WHERE site_id = ANY(:ids)",
)
COLLECT_SAMPLES = (
    f"""CREATE TEMP TABLE sample ON COMMIT DROP AS
        SELECT site_id, (extract(epoch FROM hour)::bigint / {HOUR_S} - :base)::int AS n, {COLUMNS} FROM rollup_hour""",
    "DELETE FROM rollup_hour",
    "ALTER TABLE sample ADD PRIMARY KEY (site_id, n)",
    "ANALYZE sample",
    "CREATE TEMP TABLE skipped (site_id int, low int, high int, lost boolean) ON COMMIT DROP",
)
SAMPLE_NUMBER = f"CASE WHEN lost THEN {LOST_SAMPLE} ELSE {SAMPLE_SQL} END"
SKIPPED_HOURS = "(SELECT *, {number} AS n FROM skipped, LATERAL generate_series({low}, high - 1) AS h) p"
ROLL_UP_SKIPPED = text(f"""
    INSERT INTO rollup_hour (site_id, hour, {COLUMNS})
    SELECT p.site_id, to_timestamp(p.h::bigint * {HOUR_S}), {COLUMNS}
    FROM {SKIPPED_HOURS.format(number=SAMPLE_NUMBER, low="low")} JOIN sample s ON s.site_id = p.site_id AND s.n = p.n
""")
INSERT_SKIPPED_READINGS = f"""
    INSERT INTO measurement ({", ".join(READING_COLUMNS)})
    SELECT m.site_id, m.slot + (p.h - :base - p.n) * interval '1 hour', m.source, m.outcome, m.sent, m.valid_s,
        m.rtt_us, m.reason
    FROM {SKIPPED_HOURS.format(number=SAMPLE_NUMBER, low="greatest(low, :since)")}
    JOIN {{sample}} m ON m.site_id = p.site_id
        AND m.slot >= to_timestamp((:base + p.n)::bigint * {HOUR_S})
        AND m.slot < to_timestamp((:base + p.n + 1)::bigint * {HOUR_S})
"""
SET_WATERMARKS = text("""
    UPDATE rollup_watermark
    SET site_id = 0, upto = CASE WHEN stage IN ('days', 'looks') THEN cast(:start AS timestamptz)
        WHEN stage IN ('packing', 'packed') THEN cast(:readings_from AS timestamptz) ELSE :hours END
""")
OUTAGES = text("""
    SELECT site_id, started_at FROM state_segment WHERE state = 'down' AND started_at >= :low AND started_at < :high
    ORDER BY started_at, site_id
""")
BACKDATE_INCIDENTS = (
    "UPDATE incident SET opened_at = coalesce(confirmed_at, started_at)",
    "UPDATE incident_event e SET at = i.opened_at FROM incident i WHERE i.id = e.incident_id",
)


async def list_sites(session: AsyncSession) -> list[HistorySite]:
    """Return the active sites whose configuration has never changed."""
    address_of = addresses(REGIONS_CSV)  # of sites that are registered without reading
    return [
        HistorySite(site_id, code, address_of.get(code, host) if host == code else host, *rest)
        for site_id, code, host, *rest in await session.execute(HISTORY_SITES)
    ]


async def backdate_sites(session: AsyncSession, site_ids: Sequence[int], start: datetime) -> None:
    for statement in BACKDATE_SITES:
        await session.execute(text(statement), {"start": start, "ids": site_ids})


async def make_partitions(session: AsyncSession, start: datetime, end: datetime) -> None:
    """Create the partitions of every day of the past, and of the day before, which holds the samples for a while."""
    await partitions.create_past(session, start - timedelta(days=1), end)
    days = (end - start) // timedelta(days=1) + 1
    await partitions.create_pack_days(session, [start + timedelta(days=n) for n in range(days + 1)])


async def drop_readings_before(session: AsyncSession, readings_from: datetime) -> None:
    """Drop the single readings before `readings_from` (a whole hour), as their retention would have."""
    for partition in await partitions.list_partitions(session):
        if partition.end <= readings_from:
            await session.execute(text(f"DROP TABLE {partition.name}"))
    await session.execute(text("DELETE FROM measurement WHERE slot < :at"), {"at": readings_from})


async def write_samples(session: AsyncSession, samples: Sequence[SiteSamples], base: int) -> None:
    """Write and roll up each site's sample hours, number n as the hour base + n (since 1970)."""
    await session.execute(rollup_sql.PLANNER_SETTINGS)
    await _copy(
        session,
        "measurement",
        READING_COLUMNS,
        (_row(reading) for site_samples in samples for reading in sample_readings(site_samples, base)),
    )
    hours = [from_slot((base + number) * HOUR_S) for number in range(SAMPLES + 1)]
    await rollup_hours.roll_up(session, [(of_site.site_id, hour) for of_site in samples for hour in hours])
    for statement in COLLECT_SAMPLES:
        await session.execute(text(statement), {"base": base} if ":base" in statement else {})


async def insert_readings(session: AsyncSession, histories: Sequence[SiteHistory]) -> None:
    await _copy(
        session,
        "measurement",
        READING_COLUMNS,
        (_row(reading) for history in histories for reading in history.readings),
    )


async def insert_skipped(session: AsyncSession, histories: Sequence[SiteHistory]) -> None:
    rows = [
        (history.samples.site_id, low, high, lost)
        for history in histories
        for hours, lost in ((history.healthy_hours, False), (history.lost_hours, True))
        for low, high in hours
    ]
    await _copy(session, "skipped", ("site_id", "low", "high", "lost"), rows)


async def roll_up_hours(session: AsyncSession, sites_by_hour: Mapping[int, Sequence[int]], end_hour: int) -> None:
    """Roll up the hours before `end_hour` (since 1970): those with single readings, and the skipped ones."""
    hours = sorted(hour for hour in sites_by_hour if hour < end_hour)
    await rollup_hours.roll_up(
        session, [(site_id, from_slot(hour * HOUR_S)) for hour in hours for site_id in sites_by_hour[hour]]
    )
    await session.execute(ROLL_UP_SKIPPED)


async def pack_skipped(session: AsyncSession, histories: Sequence[SiteHistory], since: int, until: int) -> None:
    """Write packs of the skipped hours from `since` up to `until` (since 1970)."""
    await pack_store.write(session, skipped_readings(histories, since, until))


async def insert_skipped_readings(session: AsyncSession, base: int, since: int) -> None:
    """Insert the single readings of the skipped hours, from the hour `since` (since 1970) on."""
    table = partitions.day_of(from_slot(base * HOUR_S)).name
    await session.execute(text(INSERT_SKIPPED_READINGS.format(sample=table)), {"base": base, "since": since})


async def insert_segments(session: AsyncSession, segments: Mapping[int, Sequence[Segment]]) -> None:
    names = FIELDS.split(", ")
    rows = [
        (site_id, *(getattr(segment, name) for name in names))
        for site_id, site_segments in segments.items()
        for segment in site_segments
    ]
    await _copy(session, "state_segment", ("site_id", *names), rows)


async def insert_checkpoints(session: AsyncSession, checkpoints: Iterable[tuple[int, datetime, JudgeState]]) -> None:
    rows = (
        (site_id, at, orjson.dumps(judge_state_store.state_fields(carry)).decode())
        for site_id, at, carry in checkpoints
    )
    await _copy(session, "checkpoint", ("site_id", "at", "carry"), rows)


async def _copy(session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows in the session's transaction, which an earlier statement must have begun."""
    raw = await (await session.connection()).get_raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    await driver.copy_records_to_table(table, records=rows, columns=columns)


def _row(reading: Reading) -> tuple[Any, ...]:
    return (
        reading.key,
        from_slot(reading.slot),
        reading.source,
        reading.outcome,
        reading.sent,
        reading.valid_s,
        reading.rtt_us,
        reading.reason,
    )
