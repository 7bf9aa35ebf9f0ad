"""The simulated past as rows, in bulk: readings by COPY, quiet hours out of each site's sample hours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, from_slot, midnight
from app.judging import judge_state_store
from app.judging.judge import JudgeState
from app.judging.segments import FIELDS, Segment
from app.latency import rollup_sql
from app.latency.histogram_sql import COLUMNS
from app.measurements import partitions
from app.registry.regions import REGIONS_CSV
from probes.contract import Reading
from simulator.history.samples import HOUR_S, SAMPLE_SQL, SAMPLES, Air
from simulator.history.scenarios import Subject
from simulator.history.site_history import Life
from simulator.villages import addresses

READING = ("site_id", "slot", "source", "outcome", "sent", "valid_s", "rtt_us", "reason")
LOST = SAMPLES  # the number of the sample hour in which nothing answers

HOLDS_ANYTHING = text("""
    SELECT EXISTS (SELECT FROM measurement) OR EXISTS (SELECT FROM state_segment) OR EXISTS (SELECT FROM rollup_hour)
""")
SUBJECTS = text("""
    SELECT s.id, s.code, coalesce(s.host, s.code) AS host, s.village_code, s.provider_id, s.technology, s.power_source,
        s.parent_id, CASE WHEN s.probe = 'push' THEN 'agent' ELSE 'central' END
    FROM site s JOIN site_configuration c ON c.site_id = s.id
    WHERE s.lifecycle = 'active'
    GROUP BY s.id HAVING count(*) = 1 ORDER BY s.id
""")
# Whatever they were registered for, they have been there from the beginning.
SINCE = (
    "UPDATE site SET created_at = :start, addressed_at = :start WHERE id = ANY(:ids)",
    "UPDATE site_configuration SET started_at = :start, addressed_at = :start WHERE site_id = ANY(:ids)",
    "UPDATE site_status SET since = :start, addressed_at = :start WHERE site_id = ANY(:ids)",
)
SAMPLED = (
    f"""CREATE TEMP TABLE sample ON COMMIT DROP AS
        SELECT site_id, (extract(epoch FROM hour)::bigint / {HOUR_S} - :base)::int AS n, {COLUMNS} FROM rollup_hour""",
    "DELETE FROM rollup_hour",
    "ALTER TABLE sample ADD PRIMARY KEY (site_id, n)",
    "ANALYZE sample",
    "CREATE TEMP TABLE passed (site_id int, low int, high int, lost boolean) ON COMMIT DROP",
)
NUMBER = f"CASE WHEN lost THEN {LOST} ELSE {SAMPLE_SQL} END"
PASSED = "(SELECT *, {number} AS n FROM passed, LATERAL generate_series({low}, high - 1) AS h) p"
ROLL_PASSED = text(f"""
    INSERT INTO rollup_hour (site_id, hour, {COLUMNS})
    SELECT p.site_id, to_timestamp(p.h::bigint * {HOUR_S}), {COLUMNS}
    FROM {PASSED.format(number=NUMBER, low="low")} JOIN sample s ON s.site_id = p.site_id AND s.n = p.n
""")
READ_PASSED = f"""
    INSERT INTO measurement ({", ".join(READING)})
    SELECT m.site_id, m.slot + (p.h - :base - p.n) * interval '1 hour', m.source, m.outcome, m.sent, m.valid_s,
        m.rtt_us, m.reason
    FROM {PASSED.format(number=NUMBER, low="greatest(low, :since)")} JOIN {{sample}} m ON m.site_id = p.site_id
        AND m.slot >= to_timestamp((:base + p.n)::bigint * {HOUR_S})
        AND m.slot < to_timestamp((:base + p.n + 1)::bigint * {HOUR_S})
"""
UPTO = text("""
    UPDATE rollup_watermark
    SET site_id = 0, upto = CASE stage WHEN 'days' THEN cast(:start AS timestamptz) ELSE :hours END
""")
OUTAGES = text("""
    SELECT site_id, started_at FROM state_segment WHERE state = 'down' AND started_at >= :low AND started_at < :high
    ORDER BY started_at, site_id
""")
OPENED = (
    "UPDATE incident SET opened_at = coalesce(confirmed_at, started_at)",
    "UPDATE incident_event e SET at = i.opened_at FROM incident i WHERE i.id = e.incident_id",
)


async def subjects(session: AsyncSession) -> list[Subject]:
    """The sites in service that have been set up one way only, ever."""
    places = addresses(REGIONS_CSV)  # where those that are registered without an address are found
    return [
        Subject(site_id, code, places.get(code, host) if host == code else host, *rest)
        for site_id, code, host, *rest in await session.execute(SUBJECTS)
    ]


async def make_partitions(session: AsyncSession, start: datetime, end: datetime) -> None:
    """For every day of the history, and the one before, which holds the samples for a while."""
    first, last = start.astimezone(WITA).date() - timedelta(days=1), end.astimezone(WITA).date()
    await partitions.create(session, [first + timedelta(days=n) for n in range((last - first).days + 1)])


async def drop_before(session: AsyncSession, first: datetime, readings_from: datetime) -> None:
    """Single readings are kept from then on, like after their retention; whole hours only."""
    day, kept = first.astimezone(WITA).date() - timedelta(days=1), readings_from.astimezone(WITA).date()
    while day < kept:
        await session.execute(text(f"DROP TABLE {partitions.partition_name(day)}"))
        day += timedelta(days=1)
    await session.execute(text("DELETE FROM measurement WHERE slot < :at"), {"at": readings_from})


async def sample(session: AsyncSession, airs: Sequence[Air], base: int) -> None:
    """Rolls up each site's sample hours: number n as the hour base + n (since 1970), by the product's own statement."""
    await session.execute(rollup_sql.PLANNER_SETTINGS)
    await _copy(session, "measurement", READING, (_row(one) for air in airs for one in _sampled(air, base)))
    for number in range(SAMPLES + 1):
        first = from_slot((base + number) * HOUR_S)
        span = {"first": first, "last": first + timedelta(hours=1), "after": 0, "upto": 2**31 - 1}
        await session.execute(rollup_sql.ROLL_UP_HOUR, span)
    for statement in SAMPLED:
        await session.execute(text(statement), {"base": base} if ":base" in statement else {})


def _sampled(air: Air, base: int) -> Iterator[Reading]:
    for number in range(SAMPLES + 1):
        for n in range(HOUR_S // air.interval_s):
            slot = (base + number) * HOUR_S + air.phase + n * air.interval_s
            if number == LOST:
                yield air.reading(slot, ())
            else:
                yield air.reading(slot, air.samples[number][n])


async def keep_readings(session: AsyncSession, lives: Sequence[Life]) -> None:
    await _copy(session, "measurement", READING, (_row(one) for life in lives for one in life.readings))


async def keep_passed(session: AsyncSession, lives: Sequence[Life]) -> None:
    rows = [
        (life.air.site_id, low, high, lost)
        for life in lives
        for found, lost in ((life.quiet, False), (life.lost, True))
        for low, high in found
    ]
    await _copy(session, "passed", ("site_id", "low", "high", "lost"), rows)


async def roll_up(session: AsyncSession, told: Mapping[int, Sequence[int]], hours: int) -> None:
    """The hours before `hours` (since 1970): what was told reading by reading, and what was passed over."""
    days: dict[date, list[tuple[int, int]]] = {}
    for hour, ids in told.items():
        if hour < hours:
            days.setdefault(from_slot(hour * HOUR_S).astimezone(WITA).date(), []).extend((n, hour) for n in ids)
    for day, found in sorted(days.items()):
        span = {"first": midnight(day), "last": midnight(day + timedelta(days=1))}
        given = {"sites": [n for n, _ in found], "hours": [from_slot(hour * HOUR_S) for _, hour in found]}
        await session.execute(rollup_sql.RECOUNT_HOURS, {**given, **span})
    await session.execute(ROLL_PASSED)


async def read_passed(session: AsyncSession, base: int, since: int) -> None:
    """The single readings of the hours that were passed over, from the hour `since` (1970) on."""
    table = partitions.partition_name(from_slot(base * HOUR_S).astimezone(WITA).date())
    await session.execute(text(READ_PASSED.format(sample=table)), {"base": base, "since": since})


async def keep_segments(session: AsyncSession, found: Mapping[int, Sequence[Segment]]) -> None:
    names = FIELDS.split(", ")
    rows = [(site_id, *(getattr(one, name) for name in names)) for site_id, laid in found.items() for one in laid]
    await _copy(session, "state_segment", ("site_id", *names), rows)


async def keep_checkpoints(session: AsyncSession, found: Iterable[tuple[int, datetime, JudgeState]]) -> None:
    rows = ((site_id, at, orjson.dumps(judge_state_store.state_fields(carry)).decode()) for site_id, at, carry in found)
    await _copy(session, "checkpoint", ("site_id", "at", "carry"), rows)


async def _copy(session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """In the session's own transaction, which some statement must have begun."""
    raw = await (await session.connection()).get_raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    await driver.copy_records_to_table(table, records=rows, columns=columns)


def _row(one: Reading) -> tuple[Any, ...]:
    return one.key, from_slot(one.slot), one.source, one.outcome, one.sent, one.valid_s, one.rtt_us, one.reason
