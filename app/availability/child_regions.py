"""Availability of the regions directly below one, in one pass over the sites of all."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup, is_rolled_up
from app.aggregates.series_tables import REGION, REGION_CODE, name_group, table
from app.availability import site_history
from app.availability.daily_reader import Grouping, add_crossing_outages, find_counted_days
from app.availability.group_uptime import sum_row, tally_group
from app.availability.models import RegionAvailabilityDay
from app.availability.schemas import ChildRegionsOut
from app.availability.site_counts import configured_seconds, count_in_service
from app.availability.tally import Tally
from app.availability.uptime_columns import GROUP_COLUMNS
from app.core.periods import Period
from app.core.tables import Table, Text
from app.judging.settled import sites_settled_until
from app.registry import regions
from app.registry.site_labels import PROVIDER, TECHNOLOGY


async def uptime_of_children(
    session: AsyncSession, group: SiteGroup, period: Period, *, now: datetime
) -> dict[str, Any]:
    """Return a row for each region directly below the group's, by code, and one for all; none for a village."""
    codes = regions.children(group.region)
    grouping = _grouping(codes)
    sites = await site_history.list_sites(session, group.site_ids)
    days = await find_counted_days(session, group, period)
    by_site = await site_history.load_configurations(session, [site.id for site in sites])
    tallies = await tally_group(session, group, sites, [period], grouping, days, now=now)
    whole = Tally()
    for tally in tallies.values():
        whole.merge(tally)
    await add_crossing_outages(session, group, days, [period], grouping, tallies)
    regions_of_group = [group.region] if group.is_rolled_up else None
    await add_crossing_outages(session, group, days, [period], Grouping(regions=regions_of_group), {(0,): whole})

    def row(of: SiteGroup, tally: Tally) -> dict[str, Any]:
        dated = list(by_site.values())
        (in_service,), (configured_s,) = (f(dated, of, [period]) for f in (count_in_service, configured_seconds))
        return sum_row(period, tally, in_service, configured_s, None)

    return {
        "from": period.start,
        "to": period.end,
        "settled_until": await sites_settled_until(session, [site.id for site in sites], period, now=now),
        "items": [
            {
                "code": code,
                "name": regions.names()[code],
                **row(SiteGroup(code, group.provider_id, group.technology), tallies.get((0, code), Tally())),
            }
            for code in codes
        ],
        "total": row(group, whole),
    }


def _grouping(codes: list[str]) -> Grouping:
    length = len(codes[0]) if codes else 0
    return Grouping(
        lambda site, configuration: (configuration.village_code[:length],),
        lambda row: (func.left(row.village_code, length),),
        (RegionAvailabilityDay.region_code,),
        codes if codes and is_rolled_up(codes[0]) else None,
        causes=True,
    )


async def children_table(session: AsyncSession, response: BaseModel, group: SiteGroup) -> Table:
    assert isinstance(response, ChildRegionsOut)
    name = await name_group(session, group)
    labels = [REGION_CODE, REGION, PROVIDER, TECHNOLOGY]
    rows = [
        {**name.labels, "region_code": item.code, "region": item.name, **item.model_dump()} for item in response.items
    ]
    title = Text(f"Ketersediaan wilayah di {name.title.indonesian}", f"Uptime within {name.title.english}")
    return table(title, response, [*labels, *GROUP_COLUMNS], rows)
