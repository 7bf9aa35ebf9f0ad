"""Availability of many access points together: seconds are merged, never percentages.

Whole days that are counted come from the tables; the edges of a period, today, and what changed since it was counted
come live from the ledger, so that an answer is never stale.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.availability import site_history
from app.availability.counting import slices
from app.availability.daily_availability import chunks
from app.availability.daily_reader import Days, Grouping, Key, add_crossing, counted, ranges_without, read_days
from app.availability.figures import row
from app.availability.site_counts import in_service, seconds_set_up
from app.availability.site_history import Place
from app.availability.tally import Tally
from app.core.clock import from_slot, midnight, to_slot
from app.core.errors import Fault, Invalid
from app.core.periods import Period, Step

CHUNK = 200  # sites at a time: other requests have their turn in between
MAX_SITE_DAYS = 12_000  # by hours, which are always counted live: some ten days of the whole province


async def uptime(
    session: AsyncSession, chosen: SiteGroup, period: Period, step: Step, *, now: datetime
) -> dict[str, Any]:
    """Rows of seconds summed over access points, each with how many of them were in service."""
    parts = list(period.split(step))
    sites = await site_history.places(session, chosen.site_ids)
    if step is Step.HOUR and len(sites) * (period.end - period.start) / timedelta(days=1) > MAX_SITE_DAYS:
        raise Invalid(
            Fault(
                "step",
                "too_much_at_once",
                "step=hour over this period and {sites} sites is too much",
                "Choose a longer step or a shorter period",
                values={"sites": len(sites)},
            )
        )
    known = Days(set(), ()) if step is Step.HOUR else await counted(session, chosen, period)
    regions = [chosen.region] if len(chosen.region) <= len("64.02.05") else None
    grouping = Grouping(regions=regions, causes=True)
    found = await tallies(session, chosen, sites, parts, grouping, known, now=now)
    total = Tally()
    for tally in found.values():
        total.merge(tally)
    await add_crossing(session, chosen, known, parts, grouping, found)
    await add_crossing(session, chosen, known, [period], grouping, {(0,): total})
    series = [found.get((number,), Tally()) for number in range(len(parts))]
    dated = list((await site_history.dated_setups(session, [site.id for site in sites])).values())
    shown = [
        _row(part, tally, count, seconds)
        for part, tally, count, seconds in zip(
            [*parts, period],
            [*series, total],
            [*in_service(dated, chosen, parts), *in_service(dated, chosen, [period])],
            [*seconds_set_up(dated, chosen, parts), *seconds_set_up(dated, chosen, [period])],
            strict=True,
        )
    ]
    return {"from": period.start, "to": period.end, "step": step, "series": shown[:-1], "total": shown[-1]}


def _row(part: Period, tally: Tally, sites: int, seconds: int) -> dict[str, Any]:
    tally.seconds["inactive"] = seconds - tally.active_s
    return {**row(part, tally), "sites": sites, "sla_target_pct": None, "sla_verdict": None}


async def tallies(
    session: AsyncSession,
    chosen: SiteGroup,
    sites: Sequence[Place],
    parts: Sequence[Period],
    grouping: Grouping,
    known: Days,
    *,
    now: datetime,
) -> dict[Key, Tally]:
    """By part, and by what the grouping keeps apart, still without the outages that cross midnight."""
    found = await read_days(session, chosen, known, parts, grouping)
    for low, high in ranges_without(Period(parts[0].start, parts[-1].end), known.days):
        await _add_live(session, chosen, sites, (low, high), parts, grouping, found, now=now)
    stale = defaultdict(set)
    for site_id, day in known.stale:
        stale[day].add(site_id)
    for day, ids in stale.items():
        low = to_slot(midnight(day))
        marked = [site for site in sites if site.id in ids]
        await _add_live(session, chosen, marked, (low, low + 86_400), parts, grouping, found, now=now)
    return found


async def _add_live(
    session: AsyncSession,
    chosen: SiteGroup,
    sites: Sequence[Place],
    span: tuple[int, int],
    parts: Sequence[Period],
    grouping: Grouping,
    found: dict[Key, Tally],
    *,
    now: datetime,
) -> None:
    low, high = max(span[0], _first_second(sites)), span[1]
    bounds = [
        (number, max(to_slot(part.start), low), min(to_slot(part.end), high)) for number, part in enumerate(parts)
    ]
    within = [(number, a, b) for number, a, b in bounds if a < b]
    if not within:
        return
    for chunk in chunks(sites, CHUNK):
        histories = await site_history.histories(session, chunk, from_slot(low), from_slot(high), now=now)
        for site in chunk:
            for piece in slices(histories[site.id], [(a, b) for _, a, b in within]):
                if piece.setup is not None and piece.kind != "inactive" and chosen.includes(piece.setup):
                    found[within[piece.part][0], *grouping.live(site, piece.setup)].add(piece)


def _first_second(sites: Sequence[Place]) -> int:
    """Before any of them was registered there is nothing to lay out, however long ago a question begins."""
    return min((to_slot(site.registered_at) for site in sites), default=0)
