"""Reads stored readings as blocks: the one way to them, however they are stored."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements.row_columns import SELECTED, block_of_columns
from probes.contract import Outcome
from probes.reading_block import ReadingBlock

SiteRange = tuple[int, datetime, datetime]  # site, start, end: half-open

WANTED = """
    (cast(:sources AS text[]) IS NULL OR m.source = ANY(:sources))
    AND (cast(:outcomes AS text[]) IS NULL OR m.outcome = ANY(:outcomes))
"""
OF_RANGES = text(f"""
    SELECT {SELECTED}
    FROM json_to_recordset(cast(:rows AS json)) AS w(site_id int, start timestamptz, until timestamptz)
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
) -> ReadingBlock:
    """Return the readings of sites in these half-open ranges by site, slot and source, each once.

    `sources`, `outcomes`: of these alone.
    """
    ranges = list(ranges)
    if not ranges:
        return ReadingBlock.of(())
    rows = [{"site_id": site_id, "start": start, "until": end} for site_id, start, end in ranges]
    parameters = {
        "rows": orjson.dumps(rows).decode(),
        "first": min(start for _, start, _ in ranges),
        "last": max(end for _, _, end in ranges),
    }
    return await _read(session, OF_RANGES, parameters, sources, outcomes)


async def read_all(
    session: AsyncSession,
    start: datetime,
    end: datetime,
    *,
    after: int = 0,
    upto: int | None = None,
    sources: Collection[str] | None = None,
    outcomes: Collection[Outcome] | None = None,
) -> ReadingBlock:
    """Return the readings in [start, end) of all sites with after < id <= upto, as `read` does."""
    parameters = {"first": start, "last": end, "after": after, "upto": upto}
    return await _read(session, OF_ALL, parameters, sources, outcomes)


async def _read(
    session: AsyncSession,
    statement: TextClause,
    parameters: dict[str, Any],
    sources: Collection[str] | None,
    outcomes: Collection[Outcome] | None,
) -> ReadingBlock:
    parameters["sources"] = None if sources is None else list(sources)
    parameters["outcomes"] = None if outcomes is None else [outcome.value for outcome in outcomes]
    return block_of_columns((await session.execute(statement, parameters)).one()).distinct()
