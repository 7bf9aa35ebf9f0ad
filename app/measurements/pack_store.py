"""Packs in the database: finds readings in them, adds readings to them, cuts readings out of them.

Whoever changes packs locks the row `packed` of `rollup_watermark` first, so that nobody else does until the commit.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, utc_now
from app.measurements import corrupt_packs
from app.measurements.pack import Pack, pack_groups, unpack_many
from probes.reading_block import OK, TIMEOUT, ReadingBlock

HOUR_S, DAY_S = 3_600, 86_400
WITA_S = 8 * HOUR_S
DAYS_AFTER_S = 35 * DAY_S  # before, every pack is of an hour

LOCK = text("SELECT upto FROM rollup_watermark WHERE stage = 'packed' FOR UPDATE")
WANTED = """
    p.source = ANY(cast(:sources AS smallint[])) AND (NOT cast(:timeouts_only AS boolean) OR p.timeouts > 0)
    AND (NOT cast(:lossy_only AS boolean) OR p.lossy > 0)
"""
COLUMNS = "p.site_id, p.source, p.hour, p.pack"
OF_RANGES = text(f"""
    SELECT {COLUMNS}
    FROM unnest(cast(:sites AS int[]), cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[]))
            AS w(site_id, start, until)
        JOIN reading_pack p ON p.site_id = w.site_id AND p.hour >= w.start AND p.hour < w.until
    WHERE p.hour >= :first AND p.hour < :last AND {WANTED}
""")
OF_ALL = text(f"""
    SELECT {COLUMNS} FROM reading_pack p
    WHERE p.hour >= :first AND p.hour < :last AND p.site_id > :after
        AND (cast(:upto AS int) IS NULL OR p.site_id <= :upto) AND {WANTED}
""")
OF_HOURS = text(f"""
    SELECT {COLUMNS}, p.span
    FROM unnest(cast(:sites AS int[]), cast(:sources AS smallint[]), cast(:hours AS timestamptz[]))
            AS w(site_id, source, hour)
        JOIN reading_pack p ON p.site_id = w.site_id AND p.source = w.source
            AND p.hour <= w.hour AND p.hour > w.hour - interval '24 hours'
            AND p.hour > w.hour - p.span * interval '1 hour'
    WHERE p.hour > cast(:first AS timestamptz) - interval '24 hours' AND p.hour <= :last
""")
WRITE = text("""
    INSERT INTO reading_pack (site_id, source, hour, span, readings, timeouts, lossy, pack)
    SELECT * FROM unnest(cast(:sites AS int[]), cast(:sources AS smallint[]), cast(:hours AS timestamptz[]),
        cast(:spans AS smallint[]), cast(:readings AS int[]), cast(:timeouts AS int[]), cast(:lossy AS int[]),
        cast(:packs AS bytea[]))
    ON CONFLICT (site_id, source, hour) DO UPDATE SET (span, readings, timeouts, lossy, pack)
        = (excluded.span, excluded.readings, excluded.timeouts, excluded.lossy, excluded.pack)
""")
TAKE_FROM = text(f"""
    DELETE FROM reading_pack p
    WHERE p.source = ANY(cast(:sources AS smallint[])) AND p.hour > cast(:at AS timestamptz) - interval '24 hours'
        AND p.hour > cast(:at AS timestamptz) - p.span * interval '1 hour'
    RETURNING {COLUMNS}
""")
TAKE_DAY = text(f"""
    DELETE FROM reading_pack p WHERE p.hour >= :day AND p.hour < :end AND p.site_id > :after AND p.site_id <= :upto
    RETURNING {COLUMNS}
""")
SET_ASIDE = text("""
    INSERT INTO corrupt_pack (site_id, source, hour, pack)
    SELECT * FROM unnest(cast(:sites AS int[]), cast(:sources AS smallint[]), cast(:hours AS timestamptz[]),
        cast(:packs AS bytea[]))
""")

Ints = NDArray[Any]


async def lock(session: AsyncSession) -> datetime:
    """Keep others from changing packs until the commit; return up to when all readings are packed."""
    upto: datetime = await session.scalar(LOCK)
    return upto


async def read(session: AsyncSession, sites: Ints, starts: Ints, ends: Ints, **wanted: Any) -> ReadingBlock:
    """Return the packed readings of the hours that these ranges of slots touch, and of whole days that they begin in.

    The ranges are disjoint, and ordered by site and time. However many touch an hour, its pack is read once.

    `wanted`: `sources` (indices into SOURCES), `timeouts_only`, `lossy_only`: packs without any are left out.
    """
    sites, starts, ends = _joined_hours(sites, _first_hours(starts), ends + -ends % HOUR_S)
    parameters = {
        "sites": sites.tolist(),
        "starts": [from_slot(slot) for slot in starts.tolist()],
        "ends": [from_slot(slot) for slot in ends.tolist()],
        "first": from_slot(int(starts.min())),
        "last": from_slot(int(ends.max())),
    }
    return _unpacked((await session.execute(OF_RANGES, parameters | wanted)).all())[0]


async def read_all(session: AsyncSession, start: int, end: int, **wanted: Any) -> ReadingBlock:
    """The same of all sites with `after` < id <= `upto`."""
    parameters = {"first": from_slot(int(_first_hours(np.array([start]))[0])), "last": from_slot(end)}
    return _unpacked((await session.execute(OF_ALL, parameters | wanted)).all())[0]


async def merge(session: AsyncSession, readings: ReadingBlock) -> None:
    """Add readings to the packs of their hours, each once: what is there stays. Call `lock` before."""
    if not len(readings):
        return
    hours = readings.slot - readings.slot % HOUR_S
    rows = await _read_hours(session, readings.key, readings.source, hours)
    stored, corrupt = _unpacked(rows)
    await _set_aside(session, corrupt)
    days = {(row.site_id, row.source, int(row.hour.timestamp())) for row in rows if row.span > 1}
    await write(session, ReadingBlock.concat([stored, readings]).distinct(), days)


async def write(session: AsyncSession, readings: ReadingBlock, days: Collection[tuple[int, int, int]] = ()) -> None:
    """Write packs of all readings of some sites, sources and hours, instead of those that are there.

    `days`: (site, source, first slot) of those whose pack is of a whole WITA day.
    """
    hours = readings.slot - readings.slot % HOUR_S
    spans = np.ones(len(readings), np.int16)
    for site_id, source, day in days:
        of_day = (readings.key == site_id) & (readings.source == source) & (hours >= day) & (hours < day + DAY_S)
        hours[of_day], spans[of_day] = day, 24
    order = np.lexsort((readings.slot, hours, readings.source, readings.key))
    readings, hours, spans = readings.take(order), hours[order], spans[order]
    firsts = _firsts(readings.key, readings.source, hours)
    await _write_groups(session, readings, firsts, hours[firsts], spans[firsts])


async def merge_day(session: AsyncSession, day: datetime, end: datetime, *, after: int, upto: int) -> None:
    """Write the packs of a WITA day anew as one a site and source, for sites with after < id <= upto."""
    rows = (await session.execute(TAKE_DAY, {"day": day, "end": end, "after": after, "upto": upto})).all()
    stored, corrupt = _unpacked(rows)
    await _set_aside(session, corrupt)
    first = int(day.timestamp())
    await write(session, stored.distinct(), {(row.site_id, row.source, first) for row in rows})


async def cut_from(session: AsyncSession, at: datetime, *, sources: Collection[int]) -> ReadingBlock:
    """Remove the readings of these sources with slots from `at` on, and return them."""
    await lock(session)
    rows = (await session.execute(TAKE_FROM, {"at": at, "sources": list(sources)})).all()
    stored, corrupt = _unpacked(rows)
    await _set_aside(session, corrupt)
    is_cut = stored.slot >= at.timestamp()
    if not is_cut.all():
        await write(session, stored.take(~is_cut).distinct())
    return stored.take(is_cut)


async def _read_hours(session: AsyncSession, sites: Ints, sources: Ints, hours: Ints) -> Sequence[Row[Any]]:
    """Return the packs that hold these hours."""
    keys = np.unique(np.stack((sites, sources, hours), axis=1), axis=0)
    moments = [from_slot(slot) for slot in keys[:, 2].tolist()]
    parameters = {"sites": keys[:, 0].tolist(), "sources": keys[:, 1].tolist(), "hours": moments}
    bounds = {"first": min(moments), "last": max(moments)}
    rows = (await session.execute(OF_HOURS, parameters | bounds)).all()
    return list({(row.site_id, row.source, row.hour): row for row in rows}.values())


async def _write_groups(session: AsyncSession, readings: ReadingBlock, firsts: Ints, hours: Ints, spans: Ints) -> None:
    if not len(readings):
        return
    packs = pack_groups(readings, firsts)
    lost = readings.outcome == TIMEOUT
    lossy = lost | (readings.outcome == OK) & (readings.received < readings.sent)
    moments = [from_slot(slot) for slot in hours.tolist()]
    parameters = {
        "sites": [pack.key for pack in packs],
        "sources": [pack.source for pack in packs],
        "hours": moments,
        "spans": spans.tolist(),
        "readings": np.diff(firsts, append=len(readings)).tolist(),
        "timeouts": np.add.reduceat(lost, firsts, dtype=int).tolist(),
        "lossy": np.add.reduceat(lossy, firsts, dtype=int).tolist(),
        "packs": [pack.data for pack in packs],
    }
    await session.execute(WRITE, parameters)


def _unpacked(rows: Sequence[Row[Any]]) -> tuple[ReadingBlock, list[Row[Any]]]:
    """Return the readings in these packs, each pack once, and the rows of those that are corrupt."""
    distinct = list({(row.site_id, row.source, row.hour): row for row in rows}.values())
    block, corrupt = unpack_many([Pack(row.site_id, row.source, row.pack) for row in distinct])
    for n in corrupt:
        corrupt_packs.tell(distinct[n].site_id, distinct[n].source, distinct[n].hour)
    return block, [distinct[n] for n in corrupt]


async def _set_aside(session: AsyncSession, corrupt: Sequence[Row[Any]]) -> None:
    """Keep the bytes of packs that are about to be written anew without what they held."""
    if corrupt:
        sites, sources, hours, packs, *_ = (list(column) for column in zip(*corrupt, strict=True))
        await session.execute(SET_ASIDE, {"sites": sites, "sources": sources, "hours": hours, "packs": packs})


def _first_hours(starts: Ints) -> Ints:
    """Return where packs begin in which these slots may be: their hours, or their WITA days where days are packed."""
    days = starts - (starts + WITA_S) % DAY_S
    firsts: Ints = np.where(starts < utc_now().timestamp() - DAYS_AFTER_S, days, starts - starts % HOUR_S)
    return firsts


def _joined_hours(sites: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    """Join the neighbouring ranges of a site that overlap or adjoin."""
    begins = np.ones(len(sites) + 1, bool)
    begins[1:-1] = (sites[1:] != sites[:-1]) | (starts[1:] > ends[:-1])
    return sites[begins[:-1]], starts[begins[:-1]], ends[begins[1:]]


def _firsts(*columns: Ints) -> Ints:
    """Return the first row of each group of neighbours that are equal in all columns."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    differs = np.logical_or.reduce([np.diff(column) != 0 for column in columns])
    return np.concatenate(([0], np.flatnonzero(differs) + 1))
