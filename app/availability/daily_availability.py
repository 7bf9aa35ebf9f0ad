"""Days counted once they are over, for every access point and summed by region: recounted and replaced, never added."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import site_history
from app.availability.counting import History, slices
from app.availability.models import ALL_PROVIDERS, ALL_TECHNOLOGIES, AvailabilityDay, CountedDay, OutagePart
from app.availability.tally import Tally
from app.core.clock import WITA, WITA_SQL, from_slot, midnight, to_slot
from app.core.freshness import hold_sql
from app.postgres.engine import among
from app.registry.models import Site, SiteConfiguration, SiteKind

DAYS, STALE_DAYS = 1, 10  # a run: who writes the ledger may wait for the marks that it took
CHUNK = 100  # sites at a time: the worker's loop has probes to serve in between
SETTLES_AFTER = timedelta(minutes=10)

T = TypeVar("T")

DUE = text(f"""
    SELECT day::date FROM generate_series(
        (SELECT (min(started_at) AT TIME ZONE {WITA_SQL})::date FROM site_configuration)::timestamp,
        cast(:last AS date)::timestamp, interval '1 day'
    ) day
    WHERE NOT EXISTS (SELECT 1 FROM counted_day c WHERE c.day = day.day::date) ORDER BY day DESC LIMIT :days
""")
# A mark that somebody is writing right now is left for the next run: what they change is not to be seen yet.
TAKE_MARKS = """
    DELETE FROM stale_day WHERE (site_id, day) IN (
        SELECT site_id, day FROM stale_day WHERE {which} FOR UPDATE SKIP LOCKED
    ) RETURNING day, site_id
"""
MARKS_OF_DAY = text(TAKE_MARKS.format(which="day = :day"))
MARKS_OF_COUNTED = text(
    TAKE_MARKS.format(
        which="""
    due_at <= :now AND day IN (
        SELECT s.day FROM stale_day s JOIN counted_day c ON c.day = s.day WHERE s.due_at <= :now
        GROUP BY s.day ORDER BY s.day LIMIT :days)
"""
    )
)
# What the rest of a day came to can still change with no new word from the site: its last evidence may turn out to
# have lapsed before midnight, and an outage that goes on may yet become long enough for its contract. Such a day is
# answered live, and counted again when that is known, or after a while.
MARK_UNSETTLED = text(f"""
    INSERT INTO stale_day (site_id, day, due_at)
    SELECT g.site_id, :day, CASE WHEN g.site_id = ANY(:undecided) THEN cast(:now AS timestamptz) + interval '1 hour'
        ELSE s.evidence_at + {hold_sql("s.valid_s")} + interval '1 second' END
    FROM state_segment g JOIN site_status s ON s.site_id = g.site_id
    WHERE g.site_id = ANY(:ids) AND g.ended_at IS NULL AND g.started_at < :until AND (
        g.state IN ('down', 'unreachable') AND g.site_id = ANY(:undecided)
        OR (s.evidence_at + make_interval(secs => s.valid_s) < :until
            AND s.evidence_at + {hold_sql("s.valid_s")} >= :now)
    )
    ON CONFLICT DO NOTHING
""")
CLEAR_REGIONS = text("DELETE FROM region_availability_day WHERE day = :day")
SUM_REGIONS = text(f"""
WITH placed AS (
    SELECT left(a.village_code, level.width) AS region_code, a.*
    FROM availability_day a, (VALUES (2), (5), (8)) AS level(width)
    WHERE a.day = :day AND a.inactive < 86400
), summed AS (
    SELECT region_code, coalesce(provider_id, {ALL_PROVIDERS}) AS provider_id,
        coalesce(technology, '{ALL_TECHNOLOGIES}') AS technology, sum(up) AS up, sum(degraded) AS degraded,
        sum(down) AS down, sum(unreachable) AS unreachable, sum(unknown) AS unknown, sum(maintenance) AS maintenance,
        sum(outages) AS outages, max(longest_outage_s) AS longest_outage_s, sum(countable_down_s) AS countable_down_s,
        sum(contract_s) AS contract_s
    FROM placed GROUP BY region_code, CUBE (provider_id, technology)
), cause AS (
    SELECT region_code, provider_id, technology, jsonb_object_agg(key, seconds) AS down_by_cause FROM (
        SELECT region_code, coalesce(provider_id, {ALL_PROVIDERS}) AS provider_id,
            coalesce(technology, '{ALL_TECHNOLOGIES}') AS technology, key, sum(value::integer) AS seconds
        FROM placed, jsonb_each_text(down_by_cause) GROUP BY region_code, key, CUBE (provider_id, technology)
    ) c GROUP BY region_code, provider_id, technology
)
INSERT INTO region_availability_day (region_code, day, provider_id, technology, up, degraded, down, unreachable,
    unknown, maintenance, outages, longest_outage_s, countable_down_s, contract_s, down_by_cause)
SELECT region_code, :day, provider_id, technology, up, degraded, down, unreachable, unknown, maintenance, outages,
    longest_outage_s, countable_down_s, contract_s, coalesce(down_by_cause, '{{}}')
FROM summed LEFT JOIN cause USING (region_code, provider_id, technology)
""")


async def count_days(session: AsyncSession, now: datetime, *, days: int = DAYS, stale_days: int = STALE_DAYS) -> int:
    """Counts again the days that changed since they were, then those that are over and not counted, latest first.

    A run takes on so many days at most, and says how many it counted; the next one goes on. Run twice it comes to the
    same.
    """
    stale: dict[date, list[int]] = defaultdict(list)
    for row in await session.execute(MARKS_OF_COUNTED, {"days": stale_days, "now": now}):
        stale[row.day].append(row.site_id)
    for day, ids in sorted(stale.items()):
        await _count(session, day, await _access_points(session, among(Site.id, ids)), now=now)
    last = (now - SETTLES_AFTER).astimezone(WITA).date() - timedelta(days=1)
    due = list(await session.scalars(DUE, {"last": last, "days": days}))
    for day in due:
        await session.execute(MARKS_OF_DAY, {"day": day})
        wanted = select(SiteConfiguration.site_id).where(
            SiteConfiguration.started_at < midnight(day + timedelta(days=1))
        )
        await _count(session, day, await _access_points(session, Site.id.in_(wanted)), now=now)
        session.add(CountedDay(day=day, counted_at=now))
        await session.flush()
    return len(due) + len(stale)


async def _access_points(session: AsyncSession, wanted: ColumnElement[bool]) -> list[site_history.Place]:
    return await site_history.places(session, select(Site.id).where(wanted, Site.kind == SiteKind.ACCESS_POINT))


async def _count(session: AsyncSession, day: date, sites: Sequence[site_history.Place], *, now: datetime) -> None:
    start, end = midnight(day), midnight(day + timedelta(days=1))
    second = timedelta(seconds=1)
    undecided: list[int] = []
    for chunk in chunks(sites, CHUNK):
        found = await site_history.histories(session, chunk, start - second, end + second, now=now)
        await _replace(
            session,
            day,
            [place.id for place in chunk],
            [cell for history in found.values() for cell in cells(history, to_slot(start), to_slot(end))],
        )
        undecided += [i for i, history in found.items() if is_undecided(history, to_slot(start), to_slot(end))]
    marks = {"day": day, "ids": [place.id for place in sites], "undecided": undecided, "until": end, "now": now}
    await session.execute(MARK_UNSETTLED, marks)
    await session.execute(CLEAR_REGIONS, {"day": day})
    await session.execute(SUM_REGIONS, {"day": day})


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


Key = tuple[int, str, str]
Cell = tuple[dict[str, Any], list[dict[str, Any]]]


def cells(history: History, low: int, high: int) -> list[Cell]:
    """A day's rows, one for each provider, technology and village the site had: each with its parts of outages that
    cross.

    One second on either side shows which outages go on there.
    """
    tallies: dict[Key, Tally] = defaultdict(Tally)
    crossing: set[tuple[int, int] | None] = set()
    for piece in slices(history, [(low - 1, low), (low, high), (high, high + 1)]):
        if piece.part != 1:
            crossing.add(piece.outage)
        elif piece.setup is not None:
            tallies[piece.setup.provider_id, piece.setup.technology, piece.setup.village_code].add(piece)
    met = Counter(outage for tally in tallies.values() for outage in tally.parts)
    crossing |= {outage for outage, times in met.items() if times > 1}
    return [_cell(history.site_id, key, tally, crossing) for key, tally in tallies.items()]


def is_undecided(history: History, low: int, high: int) -> bool:
    """Whether an outage of the day is still too short for its contract: it may grow."""
    if not history.policies:
        return False
    pieces = slices(history, [(low, high)])
    return any(piece.run is not None and not piece.countable for piece in pieces)


def _cell(site_id: int, key: Key, tally: Tally, crossing: Collection[tuple[int, int] | None]) -> Cell:
    of = {"site_id": site_id, "provider_id": key[0], "technology": key[1], "village_code": key[2]}
    whole = [length for outage, length in tally.parts.items() if outage not in crossing]
    row = {
        **of,
        **tally.seconds,
        "outages": len(whole),
        "longest_outage_s": max(whole, default=0),
        "countable_down_s": tally.countable_down_s,
        "contract_s": tally.contract_s,
        "contract_unknown_s": tally.contract_unknown_s,
        "down_by_cause": tally.causes,
    }
    parts = [
        {**of, "started_at": from_slot(outage[1]), "seconds": length}
        for outage, length in tally.parts.items()
        if outage in crossing
    ]
    return row, parts


async def _replace(session: AsyncSession, day: date, ids: Sequence[int], found: Sequence[Cell]) -> None:
    for table in (AvailabilityDay, OutagePart):
        await session.execute(delete(table).where(table.day == day, table.site_id.in_(ids)))
    if rows := [{"day": day, **row} for row, _ in found]:
        await session.execute(insert(AvailabilityDay), rows)
    if parts := [{"day": day, **part} for _, cell_parts in found for part in cell_parts]:
        await session.execute(insert(OutagePart), parts)
