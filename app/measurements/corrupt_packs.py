"""Tells of packs whose bytes are not what was written: each once a process, in the log and as a count."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from probes.reading_block import SOURCES

log = structlog.get_logger()

MOST_TOLD = 10_000

HoursOfSites = defaultdict[int, set[datetime]]

KEPT_ASIDE = text("SELECT count(*) AS packs, min(found_at) AS since FROM corrupt_pack WHERE hour >= :kept_since")
SET_ASIDE = text("SELECT site_id, hour FROM corrupt_pack WHERE site_id = ANY(cast(:sites AS int[]))")

_told: dict[tuple[int, int, datetime], datetime] = {}  # when, in order
_met: ContextVar[HoursOfSites | None] = ContextVar("met", default=None)


@dataclass(frozen=True, slots=True)
class Damage:
    """How many packs were found corrupt, and when the first was."""

    packs: int
    since: datetime | None


async def read_set_aside(session: AsyncSession, *, kept_since: datetime) -> Damage:
    """Return those that later readings replaced, of hours whose single readings are kept still."""
    row = (await session.execute(KEPT_ASIDE, {"kept_since": kept_since})).one()
    return Damage(row.packs, row.since)


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
        _told[key] = utc_now()
        log.error(
            "corrupt_pack", site=site_id, source=SOURCES[source], hour=str(hour), what="its readings cannot be read"
        )


def count() -> int:
    """Return how many this process has met."""
    return len(_told)


def met_here() -> Damage:
    """Return what this process has met."""
    return Damage(len(_told), next(iter(_told.values()), None))
