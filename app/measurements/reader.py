"""Reads stored readings as blocks: the one way to them, whether they are rows or packed."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from math import ceil
from typing import Any

import numpy as np
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ranges import merge_ranges
from app.measurements import pack_store
from app.measurements.pack_store import Ints
from app.measurements.row_columns import SELECTED, block_of_columns
from probes.contract import Outcome
from probes.reading_block import FAULT, OUTCOME_CODES, SOURCE_CODES, SOURCES, ReadingBlock

SiteRange = tuple[int, datetime, datetime]  # site, start, end: half-open

LAST_SLOT = 2**32 - 1

WANTED = """
    (cast(:sources AS text[]) IS NULL OR m.source = ANY(:sources))
    AND (cast(:outcomes AS text[]) IS NULL OR m.outcome = ANY(:outcomes))
    AND (NOT cast(:lossy_only AS boolean) OR m.outcome <> 'fault' AND cardinality(m.rtt_us) < m.sent)
"""
OF_RANGES = text(f"""
    SELECT {SELECTED}
    FROM unnest(cast(:sites AS int[]), cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[]))
            AS w(site_id, start, until)
        JOIN measurement m ON m.site_id = w.site_id AND m.slot >= w.start AND m.slot < w.until
    WHERE m.slot >= :first AND m.slot < :last AND {WANTED}
""")
OF_ALL = text(f"""
    SELECT {SELECTED} FROM measurement m
    WHERE m.slot >= :first AND m.slot < :last AND m.site_id > :after
        AND (cast(:upto AS int) IS NULL OR m.site_id <= :upto) AND {WANTED}
""")


async def read(
    session: AsyncSession,
    ranges: Iterable[SiteRange],
    *,
    sources: Collection[str] | None = None,
    outcomes: Collection[Outcome] | None = None,
    lossy_only: bool = False,
) -> ReadingBlock:
    """Return the readings of sites in these half-open ranges by site, slot and source, each once.

    `sources`, `outcomes`: of these alone; `lossy_only`: those alone that are no fault and lost packets.
    """
    sites, starts, ends = _disjoint(ranges)
    if not len(sites):
        return ReadingBlock.of(())
    rows = await read_rows(session, sites, starts, ends, sources=sources, outcomes=outcomes, lossy_only=lossy_only)
    packed = await pack_store.read(session, sites, starts, ends, **_wanted_packs(sources, outcomes, lossy_only))
    within = _within(packed, sites, starts, ends)
    return _chosen(rows, packed.take(within), outcomes, lossy_only)


async def read_all(
    session: AsyncSession,
    start: datetime,
    end: datetime,
    *,
    after: int = 0,
    upto: int | None = None,
    sources: Collection[str] | None = None,
    outcomes: Collection[Outcome] | None = None,
    lossy_only: bool = False,
) -> ReadingBlock:
    """Return the readings in [start, end) of all sites with after < id <= upto, as `read` does."""
    bounds = {"after": after, "upto": upto}
    parameters = {"first": start, "last": end, **bounds, **_wanted_rows(sources, outcomes, lossy_only)}
    rows = await _select(session, OF_ALL, parameters)
    first, last = _slot(start), _slot(end)
    packed = await pack_store.read_all(session, first, last, **bounds, **_wanted_packs(sources, outcomes, lossy_only))
    return _chosen(rows, packed.take((packed.slot >= first) & (packed.slot < last)), outcomes, lossy_only)


async def read_rows(
    session: AsyncSession,
    sites: Ints,
    starts: Ints,
    ends: Ints,
    *,
    sources: Collection[str] | None = None,
    outcomes: Collection[Outcome] | None = None,
    lossy_only: bool = False,
) -> ReadingBlock:
    """Return those that are not packed, of disjoint ranges of slots, in no certain order.

    Read rows before packs: whatever is packed in between is then found twice, and never missed.
    """
    moments = [[datetime.fromtimestamp(slot, UTC) for slot in slots.tolist()] for slots in (starts, ends)]
    parameters = {
        "sites": sites.tolist(),
        "starts": moments[0],
        "ends": moments[1],
        "first": min(moments[0]),
        "last": max(moments[1]),
    }
    return await _select(session, OF_RANGES, parameters | _wanted_rows(sources, outcomes, lossy_only))


async def _select(session: AsyncSession, statement: TextClause, parameters: dict[str, Any]) -> ReadingBlock:
    return block_of_columns((await session.execute(statement, parameters)).one())


def _wanted_rows(
    sources: Collection[str] | None, outcomes: Collection[Outcome] | None, lossy_only: bool
) -> dict[str, Any]:
    return {
        "sources": None if sources is None else list(sources),
        "outcomes": None if outcomes is None else [outcome.value for outcome in outcomes],
        "lossy_only": lossy_only,
    }


def _wanted_packs(
    sources: Collection[str] | None, outcomes: Collection[Outcome] | None, lossy_only: bool
) -> dict[str, Any]:
    return {
        "sources": [SOURCE_CODES[source] for source in (SOURCES if sources is None else sources)],
        "timeouts_only": outcomes is not None and set(outcomes) == {Outcome.TIMEOUT},
        "lossy_only": lossy_only,
    }


def _chosen(
    rows: ReadingBlock, packed: ReadingBlock, outcomes: Collection[Outcome] | None, lossy_only: bool
) -> ReadingBlock:
    """Return the rows and those of the packed readings that are wanted, each once."""
    if outcomes is not None:
        packed = packed.take(np.isin(packed.outcome, [OUTCOME_CODES[outcome] for outcome in outcomes]))
    if lossy_only:
        packed = packed.take((packed.outcome != FAULT) & (packed.received < packed.sent))
    return ReadingBlock.concat([rows, packed]).distinct()


def _disjoint(ranges: Iterable[SiteRange]) -> tuple[Ints, Ints, Ints]:
    """Return sites, first slots and ends of these ranges, ordered, without overlaps."""
    of_sites: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for site_id, start, end in ranges:
        if (first := _slot(start)) < (last := _slot(end)):
            of_sites[site_id].append((first, last))
    merged = [
        (site_id, *of_site) for site_id, of_ranges in sorted(of_sites.items()) for of_site in merge_ranges(of_ranges)
    ]
    columns = np.array(merged, np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _slot(moment: datetime) -> int:
    """Return the first slot that is not before this moment."""
    return min(max(ceil(moment.timestamp()), 0), LAST_SLOT)


def _within(readings: ReadingBlock, sites: Ints, starts: Ints, ends: Ints) -> Ints:
    """Return which readings are in one of these disjoint, ordered ranges."""
    keys = (readings.key.astype(np.int64) << 32) + readings.slot
    ranges = np.searchsorted((sites << 32) + starts, keys, side="right") - 1
    within: Ints = (ranges >= 0) & (sites[ranges] == readings.key) & (readings.slot < ends[ranges])
    return within
