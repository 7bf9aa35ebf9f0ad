"""Ranks sites, regions or providers by uptime, each within its technology, if enough of the period was measured."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import CODE_LENGTHS, ROLLED_UP_CODE_LENGTHS, SiteGroup
from app.availability import site_history
from app.availability.daily_reader import Grouping, GroupKey, add_crossing_outages, find_counted_days
from app.availability.group_uptime import tally_group
from app.availability.models import RegionAvailabilityDay
from app.availability.ranking_schemas import By, RankingOrder, Reason
from app.availability.site_counts import active_configurations
from app.availability.site_verdicts import count_along, site_verdicts
from app.availability.tally import Tally
from app.availability.verdict_counts import VerdictKind, count_verdicts
from app.core.periods import Period
from app.judging.settled import sites_settled_until
from app.postgres.engine import among
from app.registry import regions
from app.registry.models import Level, Provider, Site

EntryFields = dict[str, Any]


async def rank(
    session: AsyncSession,
    group: SiteGroup,
    period: Period,
    *,
    by: By,
    level: Level,
    order: RankingOrder,
    min_coverage_pct: float,
    now: datetime,
) -> tuple[datetime, list[EntryFields], list[EntryFields]]:
    """Return up to when the figures are settled, the ranked entries, and those measured too little to rank.

    The ranked ones stand best or worst first within each technology.
    """
    code_length = max(CODE_LENGTHS[level], len(group.region))  # a larger region would be ranked by a part of itself
    grouping = _grouping(by, code_length, group)
    sites = await site_history.list_sites(session, group.site_ids)
    settled = await sites_settled_until(session, [site.id for site in sites], period, now=now)
    days = await find_counted_days(session, group, period)
    dated = await site_history.load_configurations(session, [site.id for site in sites])
    along = count_along(group, dated, period)
    tallies = await tally_group(session, group, sites, [period], grouping, days, along=along, now=now)
    await add_crossing_outages(session, group, days, [period], grouping, tallies)
    if along is not None:
        await along.add_days(session, days)
    site_counts = Counter(
        key
        for site in sites
        for key in {
            grouping.of_slice(site, configuration)
            for _, _, configuration in active_configurations(dated[site.id], group, period)
        }
    )
    verdicts: dict[GroupKey, list[VerdictKind]] = defaultdict(list)
    registered = {site.id: site for site in sites}
    for verdict in await site_verdicts(session, group, period, dated, counted=along, now=now):
        verdicts[grouping.of_slice(registered[verdict.site_id], verdict.place)].append(verdict.kind)
    names = await _names(session, by, {key[0] for key in site_counts})
    entries = [
        _entry(names[key[0]], key, count, tallies.get((0, *key), Tally()), verdicts[key])
        for key, count in site_counts.items()
    ]
    reasons = [_unranked_reason(entry, min_coverage_pct) for entry in entries]
    ranked = list(_ranked([entry for entry, reason in zip(entries, reasons, strict=True) if reason is None]))
    if order is RankingOrder.WORST:
        ranked.sort(key=lambda entry: (entry["technology"], -entry["rank"], entry["code"]))
    unranked = [{**entry, "reason": reason} for entry, reason in zip(entries, reasons, strict=True) if reason]
    return settled, ranked, sorted(unranked, key=lambda entry: (entry["technology"], entry["code"]))


def _grouping(by: By, code_length: int, group: SiteGroup) -> Grouping:
    sums = RegionAvailabilityDay
    if by is By.SITE:
        return Grouping(
            lambda site, configuration: (site.id, configuration.technology), lambda t: (t.site_id, t.technology)
        )
    if by is By.PROVIDER:
        return Grouping(
            lambda site, configuration: (configuration.provider_id, configuration.technology),
            lambda t: (t.provider_id, t.technology),
            (sums.provider_id, sums.technology),
            [group.region] if group.is_rolled_up else None,
        )
    return Grouping(
        lambda site, configuration: (configuration.village_code[:code_length], configuration.technology),
        lambda t: (func.left(t.village_code, code_length), t.technology),
        (sums.region_code, sums.technology),
        _regions_within(group.region, code_length),
    )


def _regions_within(region: str, code_length: int) -> list[str] | None:
    """Return the regions of this code length that make up the region; None if such regions are not rolled up."""
    if code_length not in ROLLED_UP_CODE_LENGTHS:
        return None
    return [code for code in regions.names() if len(code) == code_length and f"{code}.".startswith(f"{region}.")]


async def _names(session: AsyncSession, by: By, ids: set[Any]) -> Mapping[Any, EntryFields]:
    if by is By.REGION:
        return {code: {"id": None, "code": code, "name": regions.names()[code]} for code in ids}
    table, code_column = (Site, Site.code) if by is By.SITE else (Provider, Provider.slug)
    rows = await session.execute(select(table.id, code_column, table.name).where(among(table.id, ids)))
    return {row_id: {"id": row_id, "code": code, "name": name} for row_id, code, name in rows}


def _entry(name: EntryFields, key: GroupKey, sites: int, tally: Tally, verdicts: Sequence[VerdictKind]) -> EntryFields:
    return {
        **name,
        "technology": key[1],
        "sites": sites,
        **tally.percentages,
        "outages": tally.outages,
        "longest_outage_s": tally.longest_outage_s,
        "down_s": tally.seconds["down"],
        "unreachable_s": tally.seconds["unreachable"],
        "verdicts": count_verdicts(verdicts),
    }


def _unranked_reason(entry: EntryFields, min_coverage_pct: float) -> Reason | None:
    if entry["uptime_pct"] is None:
        return Reason.NO_EVIDENCE
    return Reason.LOW_COVERAGE if entry["coverage_pct"] < min_coverage_pct else None


def _ranked(entries: Sequence[EntryFields]) -> Iterator[EntryFields]:
    ordered = sorted(entries, key=lambda e: (e["technology"], -e["uptime_pct"], e["code"]))
    for _, entries_of_one in groupby(ordered, key=lambda e: e["technology"]):
        rank, last = 0, None
        for position, entry in enumerate(entries_of_one, 1):
            rank, last = (rank, last) if entry["uptime_pct"] == last else (position, entry["uptime_pct"])
            yield {"rank": rank, **entry}
