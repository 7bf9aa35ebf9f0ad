"""Availability of many access points together: seconds are summed, percentages never averaged.

Whole days that are counted come from the daily rollup. The edges of a period, today, and days that are stale are
counted on request, so that a response never shows stale figures.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.availability import site_history
from app.availability.contract_reader import ContractCount
from app.availability.daily_reader import (
    CountedDays,
    Grouping,
    GroupKey,
    add_crossing_outages,
    find_counted_days,
    read_days,
)
from app.availability.live_counting import uncounted_slices
from app.availability.site_counts import configured_seconds, count_in_service
from app.availability.site_history import DatedConfigurations, SiteRef
from app.availability.site_verdicts import count_along, site_verdicts
from app.availability.tally import Tally, uptime_row
from app.availability.verdict_counts import count_verdicts
from app.core.errors import Fault, Invalid
from app.core.periods import Period, Step
from app.judging.settled import sites_settled_until

MAX_SITE_DAYS = 12_000  # by hours, which are never rolled up: some ten days of the whole province


async def group_uptime(
    session: AsyncSession, group: SiteGroup, period: Period, step: Step, *, now: datetime
) -> dict[str, Any]:
    """Return seconds summed over the group's access points, in parts and in total, with how many were in service.

    Raises Invalid for too many hours of too many sites.
    """
    parts = list(period.split(step))
    sites = await site_history.list_sites(session, group.site_ids)
    settled = await sites_settled_until(session, [site.id for site in sites], period, now=now)
    if step is Step.HOUR:
        _require_few_hours(len(sites), period)
    days = CountedDays(set(), ()) if step is Step.HOUR else await find_counted_days(session, group, period)
    grouping = Grouping(regions=[group.region] if group.is_rolled_up else None, causes=True)
    by_site = await site_history.load_configurations(session, [site.id for site in sites])
    along = count_along(group, by_site, period)
    tallies = await tally_group(session, group, sites, parts, grouping, days, along=along, now=now)
    total = Tally()
    for tally in tallies.values():
        total.merge(tally)
    await add_crossing_outages(session, group, days, parts, grouping, tallies)
    await add_crossing_outages(session, group, days, [period], grouping, {(0,): total})
    dated, months = list(by_site.values()), parts if step is Step.MONTH else []
    if along is not None:
        await along.add_days(session, days)
    verdicts = {period: await _verdicts(session, group, period, by_site, counted=along, now=now)}
    verdicts |= {
        part: await _verdicts(session, group, part, by_site, now=now) for part in months if part not in verdicts
    }
    rows = [
        sum_row(*figures)
        for figures in zip(
            [*parts, period],
            [*(tallies.get((number,), Tally()) for number in range(len(parts))), total],
            [*count_in_service(dated, group, parts), *count_in_service(dated, group, [period])],
            [*configured_seconds(dated, group, parts), *configured_seconds(dated, group, [period])],
            [*(verdicts[part] if part in months else None for part in parts), verdicts[period]],
            strict=True,
        )
    ]
    return {
        "from": period.start,
        "to": period.end,
        "settled_until": settled,
        "step": step,
        "series": rows[:-1],
        "total": rows[-1],
    }


async def _verdicts(
    session: AsyncSession,
    group: SiteGroup,
    part: Period,
    by_site: Mapping[int, DatedConfigurations],
    *,
    counted: ContractCount | None = None,
    now: datetime,
) -> dict[str, int]:
    return count_verdicts(
        row.kind for row in await site_verdicts(session, group, part, by_site, counted=counted, now=now)
    )


def _require_few_hours(sites: int, period: Period) -> None:
    if sites * (period.end - period.start) / timedelta(days=1) > MAX_SITE_DAYS:
        raise Invalid(
            Fault(
                "step",
                "too_much_at_once",
                "step=hour over this period and {sites} sites is too much",
                "Choose a longer step or a shorter period",
                values={"sites": sites},
            )
        )


def sum_row(
    part: Period, tally: Tally, sites: int, configured_s: int, verdicts: dict[str, int] | None
) -> dict[str, Any]:
    """Return the fields of SumRow."""
    tally.set_inactive(configured_s - tally.active_s)
    no_target = {"sla_target_pct": None, "sla_verdict": None}
    return {**uptime_row(part, tally), "sites": sites, **no_target, "verdicts": verdicts}


async def tally_group(
    session: AsyncSession,
    group: SiteGroup,
    sites: Sequence[SiteRef],
    parts: Sequence[Period],
    grouping: Grouping,
    days: CountedDays,
    *,
    along: ContractCount | None = None,
    now: datetime,
) -> dict[GroupKey, Tally]:
    """Return tallies by part and by what the grouping keeps apart, still without the outages that cross midnight.

    What is counted on request is added to `along`, too.
    """
    tallies = await read_days(session, group, days, parts, grouping)
    async for site, slices in uncounted_slices(session, sites, days, parts, now=now):
        if along is not None:
            along.add(site, (slice_ for _, slice_ in slices))
        for number, slice_ in slices:
            configuration = slice_.configuration
            if configuration is not None and configuration.active and group.includes(configuration):
                tallies[number, *grouping.of_slice(site, configuration)].add(slice_)
    return tallies
