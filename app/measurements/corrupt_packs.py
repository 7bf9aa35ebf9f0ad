"""Tells of packs whose bytes are not what was written: each once a process, in the log and as a count."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from probes.reading_block import SOURCES

log = structlog.get_logger()

MOST_TOLD = 10_000

HoursOfSites = defaultdict[int, set[datetime]]

SET_ASIDE = text("SELECT site_id, hour FROM corrupt_pack WHERE site_id = ANY(cast(:sites AS int[]))")

_told: set[tuple[int, int, datetime]] = set()
_met: ContextVar[HoursOfSites | None] = ContextVar("met", default=None)


@asynccontextmanager
async def noting(session: AsyncSession, sites: Iterable[int]) -> AsyncIterator[HoursOfSites]:
    """Note of which of these sites and hours not all is read within the block: packs are corrupt, or were replaced."""
    met: HoursOfSites = defaultdict(set)
    for site_id, hour in await session.execute(SET_ASIDE, {"sites": sorted(set(sites))}):
        met[site_id].add(hour)
    token = _met.set(met)
    try:
        yield met
    finally:
        _met.reset(token)


def tell(site_id: int, source: int, hour: datetime) -> None:
    """`source`: index into SOURCES."""
    if (met := _met.get()) is not None:
        met[site_id].add(hour)
    key = (site_id, source, hour)
    if key not in _told and len(_told) < MOST_TOLD:
        _told.add(key)
        log.error(
            "corrupt_pack", site=site_id, source=SOURCES[source], hour=str(hour), what="its readings cannot be read"
        )


def count() -> int:
    """Return how many this process has met."""
    return len(_told)
