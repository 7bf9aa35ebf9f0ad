"""Counts on request what the daily rollup does not hold: the edges of a period, today, and days that are stale."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import site_history
from app.availability.counting import cut_slices
from app.availability.daily_reader import CountedDays, ranges_outside
from app.availability.daily_rollup import chunks
from app.availability.policy import DAY_S
from app.availability.site_history import SiteRef
from app.availability.slices import Slice
from app.core.clock import from_slot, midnight, to_slot
from app.core.periods import Period

CHUNK = 200  # sites at a time: other requests run in between

SiteSlices = tuple[SiteRef, list[tuple[int, Slice]]]  # each slice with the number of its part


async def uncounted_slices(
    session: AsyncSession, sites: Sequence[SiteRef], days: CountedDays, parts: Sequence[Period], *, now: datetime
) -> AsyncIterator[SiteSlices]:
    """Yield the slices of all that lies outside the counted days, or in one of them that is stale, site by site."""
    for span in ranges_outside(Period(parts[0].start, parts[-1].end), days.days):
        async for site_slices in _slices(session, sites, span, parts, now=now):
            yield site_slices
    stale = defaultdict(set)
    for site_id, day in days.stale:
        stale[day].add(site_id)
    for day, site_ids in stale.items():
        low = to_slot(midnight(day))
        stale_sites = [site for site in sites if site.id in site_ids]
        async for site_slices in _slices(session, stale_sites, (low, low + DAY_S), parts, now=now):
            yield site_slices


async def _slices(
    session: AsyncSession,
    sites: Sequence[SiteRef],
    span: tuple[int, int],
    parts: Sequence[Period],
    *,
    now: datetime,
) -> AsyncIterator[SiteSlices]:
    low, high = max(span[0], _first_registration(sites)), span[1]
    bounds = [
        (number, max(to_slot(part.start), low), min(to_slot(part.end), high)) for number, part in enumerate(parts)
    ]
    within = [(number, a, b) for number, a, b in bounds if a < b]
    if not within:
        return
    for chunk in chunks(sites, CHUNK):
        histories = await site_history.load_histories(session, chunk, from_slot(low), from_slot(high), now=now)
        for site in chunk:
            slices = cut_slices(histories[site.id], [(a, b) for _, a, b in within])
            yield site, [(within[slice_.part][0], slice_) for slice_ in slices]


def _first_registration(sites: Sequence[SiteRef]) -> int:
    """Return the second before which there is nothing to count, however early the period begins."""
    return min((to_slot(site.registered_at) for site in sites), default=0)
