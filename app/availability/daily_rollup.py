"""Counts each day once it is over, by access point and summed by region: counted anew and replaced, never added to."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import ROLLED_UP_CODE_LENGTHS
from app.availability import site_history
from app.availability.day_rows import DayRows, day_rows
from app.availability.models import (
    ALL_PROVIDERS,
    ALL_TECHNOLOGIES,
    AvailabilityDay,
    ContractDay,
    CountedDay,
    OutagePart,
)
from app.availability.policy import DAY_S
from app.availability.site_history import SiteRef
from app.core.clock import WITA, WITA_SQL, midnight, to_slot
from app.core.freshness import hold_sql
from app.postgres.engine import among
from app.registry.models import Site, SiteConfiguration, SiteKind

DAYS, STALE_DAYS = 1, 10  # in one run: writers of states may wait for the stale days that it took
CHUNK = 100  # sites at a time: the worker's event loop runs probes in between
COUNTED_AFTER = timedelta(minutes=10)

T = TypeVar("T")

DUE = text(f"""
    SELECT day::date FROM generate_series(
        (SELECT (min(started_at) AT TIME ZONE {WITA_SQL})::date FROM site_configuration)::timestamp,
        cast(:last AS date)::timestamp, interval '1 day'
    ) day
    WHERE NOT EXISTS (SELECT 1 FROM counted_day c WHERE c.day = day.day::date) ORDER BY day DESC LIMIT :days
""")
# A stale day that another transaction is marking right now is left for the next run: its change is not visible yet.
TAKE_STALE = """
    DELETE FROM stale_day WHERE (site_id, day) IN (
        SELECT site_id, day FROM stale_day WHERE {which} FOR UPDATE SKIP LOCKED
    ) RETURNING day, site_id
"""
TAKE_STALE_OF_DAY = text(TAKE_STALE.format(which="day = :day"))
TAKE_STALE_OF_COUNTED_DAYS = text(
    TAKE_STALE.format(
        which="""
    due_at <= :now AND day IN (
        SELECT s.day FROM stale_day s JOIN counted_day c ON c.day = s.day WHERE s.due_at <= :now
        GROUP BY s.day ORDER BY s.day LIMIT :days)
"""
    )
)
# A day can still change without another reading of it: the last evidence may turn out to have lapsed before midnight,
# and an outage, or degraded time where terms count it, that goes on may become long enough for its contract. Such a day
# stays stale (counted on request), until it is counted again when that is known, or after an hour.
MARK_UNSETTLED = text(f"""
    INSERT INTO stale_day (site_id, day, due_at)
    SELECT g.site_id, :day, CASE WHEN g.site_id = ANY(:undecided) THEN cast(:now AS timestamptz) + interval '1 hour'
        ELSE s.evidence_at + {hold_sql("s.valid_s")} + interval '1 second' END
    FROM state_segment g JOIN site_status s ON s.site_id = g.site_id
    WHERE g.site_id = ANY(:ids) AND g.ended_at IS NULL AND (
        g.state IN ('down', 'unreachable') AND g.site_id = ANY(:undecided) AND NOT EXISTS (
            SELECT FROM state_segment a WHERE a.site_id = g.site_id AND a.state IN ('up', 'degraded')
                AND a.started_at >= :until AND a.started_at < g.started_at
        )
        OR (g.state = 'degraded' AND g.site_id = ANY(:undecided) AND g.started_at < :until)
        OR (g.started_at < :until AND s.evidence_at + make_interval(secs => s.valid_s) < :until
            AND s.evidence_at + {hold_sql("s.valid_s")} >= :now)
    )
    ON CONFLICT DO NOTHING
""")
CLEAR_REGIONS = text("DELETE FROM region_availability_day WHERE day = :day")
SUM_REGIONS = text(f"""
WITH by_region AS (
    SELECT left(a.village_code, level.width) AS region_code, a.*
    FROM availability_day a, unnest(ARRAY{list(ROLLED_UP_CODE_LENGTHS)}) AS level(width)
    WHERE a.day = :day AND a.inactive < {DAY_S}
), summed AS (
    SELECT region_code, coalesce(provider_id, {ALL_PROVIDERS}) AS provider_id,
        coalesce(technology, '{ALL_TECHNOLOGIES}') AS technology, sum(up) AS up, sum(degraded) AS degraded,
        sum(down) AS down, sum(unreachable) AS unreachable, sum(unknown) AS unknown, sum(maintenance) AS maintenance,
        sum(claimed) AS claimed,
        sum(outages) AS outages, max(longest_outage_s) AS longest_outage_s, sum(countable_down_s) AS countable_down_s,
        sum(contract_s) AS contract_s
    FROM by_region GROUP BY region_code, CUBE (provider_id, technology)
), cause AS (
    SELECT region_code, provider_id, technology, jsonb_object_agg(key, seconds) AS down_by_cause FROM (
        SELECT region_code, coalesce(provider_id, {ALL_PROVIDERS}) AS provider_id,
            coalesce(technology, '{ALL_TECHNOLOGIES}') AS technology, key, sum(value::integer) AS seconds
        FROM by_region, jsonb_each_text(down_by_cause) GROUP BY region_code, key, CUBE (provider_id, technology)
    ) c GROUP BY region_code, provider_id, technology
)
INSERT INTO region_availability_day (region_code, day, provider_id, technology, up, degraded, down, unreachable,
    unknown, maintenance, claimed, outages, longest_outage_s, countable_down_s, contract_s, down_by_cause)
SELECT region_code, :day, provider_id, technology, up, degraded, down, unreachable, unknown, maintenance, claimed,
    outages, longest_outage_s, countable_down_s, contract_s, coalesce(down_by_cause, '{{}}')
FROM summed LEFT JOIN cause USING (region_code, provider_id, technology)
""")


async def count_days(session: AsyncSession, now: datetime, *, days: int = DAYS, stale_days: int = STALE_DAYS) -> int:
    """Count stale days again, then days that are over and not counted yet, latest first; return how many were counted.

    A run takes on `stale_days` and `days` of them at most. Running it twice gives the same rows.
    """
    stale: dict[date, list[int]] = defaultdict(list)
    for row in await session.execute(TAKE_STALE_OF_COUNTED_DAYS, {"days": stale_days, "now": now}):
        stale[row.day].append(row.site_id)
    for day, site_ids in sorted(stale.items()):
        await _count_day(session, day, await _access_points(session, among(Site.id, site_ids)), now=now)
    last = (now - COUNTED_AFTER).astimezone(WITA).date() - timedelta(days=1)
    due = list(await session.scalars(DUE, {"last": last, "days": days}))
    for day in due:
        await session.execute(TAKE_STALE_OF_DAY, {"day": day})
        registered = select(SiteConfiguration.site_id).where(
            SiteConfiguration.started_at < midnight(day + timedelta(days=1))
        )
        await _count_day(session, day, await _access_points(session, Site.id.in_(registered)), now=now)
        session.add(CountedDay(day=day, counted_at=now))
        await session.flush()
    return len(due) + len(stale)


async def _access_points(session: AsyncSession, condition: ColumnElement[bool]) -> list[SiteRef]:
    access_points = select(SiteConfiguration.site_id).where(SiteConfiguration.kind == SiteKind.ACCESS_POINT)
    return await site_history.list_sites(session, select(Site.id).where(condition, Site.id.in_(access_points)))


async def _count_day(session: AsyncSession, day: date, sites: Sequence[SiteRef], *, now: datetime) -> None:
    start, end = midnight(day), midnight(day + timedelta(days=1))
    low, high = to_slot(start), to_slot(end)
    second = timedelta(seconds=1)
    undecided: list[int] = []
    for chunk in chunks(sites, CHUNK):
        histories = await site_history.load_histories(session, chunk, start - second, end + second, now=now)
        rows = {site_id: day_rows(history, low, high) for site_id, history in histories.items()}
        await _replace(session, day, list(rows), list(rows.values()))
        undecided += [site_id for site_id, of_site in rows.items() if of_site.undecided]
    parameters = {"day": day, "ids": [site.id for site in sites], "undecided": undecided, "until": end, "now": now}
    await session.execute(MARK_UNSETTLED, parameters)
    await session.execute(CLEAR_REGIONS, {"day": day})
    await session.execute(SUM_REGIONS, {"day": day})


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


async def _replace(session: AsyncSession, day: date, site_ids: Sequence[int], day_rows: Sequence[DayRows]) -> None:
    for table, rows in (
        (AvailabilityDay, [row for of_site in day_rows for row in of_site.availability]),
        (OutagePart, [row for of_site in day_rows for row in of_site.outage_parts]),
        (ContractDay, [row for of_site in day_rows for row in of_site.contracts]),
    ):
        await session.execute(delete(table).where(table.day == day, table.site_id.in_(site_ids)))
        if rows:
            await session.execute(insert(table), [{"day": day, **row} for row in rows])
