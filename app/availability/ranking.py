"""Who does best: by uptime, inside one technology only, and only where enough was seen."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ARRAY, Integer, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import csv_export
from app.aggregates.selection import SiteGroup
from app.availability import site_history
from app.availability.daily_reader import Grouping, Key, add_crossing, counted
from app.availability.group_schemas import By, Order, RankedOut, RankingOut, Reason, UnrankedOut
from app.availability.group_uptime import tallies
from app.availability.models import RegionAvailabilityDay
from app.availability.site_counts import active
from app.availability.tally import Tally
from app.core.periods import Period
from app.core.tabular import Separator
from app.registry import regions
from app.registry.models import Level, Provider, Site

WIDTHS = {Level.PROVINSI: 2, Level.KABUPATEN_KOTA: 5, Level.KECAMATAN: 8, Level.DESA_KELURAHAN: 13}
Entry = dict[str, Any]


async def ranking(
    session: AsyncSession,
    chosen: SiteGroup,
    period: Period,
    *,
    by: By,
    level: Level,
    order: Order,
    min_coverage_pct: float,
    now: datetime,
) -> tuple[list[Entry], list[Entry]]:
    """The ranked, best or worst first within each technology, and those of which too little was seen."""
    width = max(WIDTHS[level], len(chosen.region))  # a region that reaches beyond would be ranked by a part of itself
    grouping = _grouping(by, width, chosen)
    sites = await site_history.places(session, chosen.site_ids)
    known = await counted(session, chosen, period)
    found = await tallies(session, chosen, sites, [period], grouping, known, now=now)
    await add_crossing(session, chosen, known, [period], grouping, found)
    dated = await site_history.dated_setups(session, [site.id for site in sites])
    numbers = Counter(
        key
        for site in sites
        for key in {grouping.live(site, setup) for _, _, setup in active(dated[site.id], chosen, period)}
    )
    names = await _names(session, by, {key[0] for key in numbers})
    entries = [_entry(names[key[0]], key, count, found.get((0, *key), Tally())) for key, count in numbers.items()]
    seen = [entry for entry in entries if _reason(entry, min_coverage_pct) is None]
    unseen = [{**entry, "reason": _reason(entry, min_coverage_pct)} for entry in entries]
    ranked = list(_ranked(seen))
    if order is Order.WORST:
        ranked.sort(key=lambda entry: (entry["technology"], -entry["rank"], entry["code"]))
    return ranked, sorted((e for e in unseen if e["reason"]), key=lambda e: (e["technology"], e["code"]))


def _grouping(by: By, width: int, chosen: SiteGroup) -> Grouping:
    sums = RegionAvailabilityDay
    within = [chosen.region] if len(chosen.region) <= WIDTHS[Level.KECAMATAN] else None
    if by is By.SITE:
        return Grouping(lambda site, setup: (site.id, setup.technology), lambda t: (t.site_id, t.technology))
    if by is By.PROVIDER:
        return Grouping(
            lambda site, setup: (setup.provider_id, setup.technology),
            lambda t: (t.provider_id, t.technology),
            (sums.provider_id, sums.technology),
            within,
        )
    if not len(chosen.region) <= width <= WIDTHS[Level.KECAMATAN]:
        within = None
    else:
        within = [code for code in regions.names() if len(code) == width and f"{code}.".startswith(f"{chosen.region}.")]
    return Grouping(
        lambda site, setup: (setup.village_code[:width], setup.technology),
        lambda t: (func.left(t.village_code, width), t.technology),
        (sums.region_code, sums.technology),
        within,
    )


async def _names(session: AsyncSession, by: By, ids: set[Any]) -> Mapping[Any, Entry]:
    if by is By.REGION:
        return {code: {"id": None, "code": code, "name": regions.names()[code]} for code in ids}
    table, code = (Site, Site.code) if by is By.SITE else (Provider, Provider.slug)
    rows = await session.execute(
        select(table.id, code, table.name).where(table.id == func.any(cast(list(ids), ARRAY(Integer))))
    )
    return {number: {"id": number, "code": code, "name": name} for number, code, name in rows}


def _entry(name: Entry, key: Key, sites: int, tally: Tally) -> Entry:
    return {
        **name,
        "technology": key[1],
        "sites": sites,
        **tally.percentages,
        "outages": tally.outages,
        "longest_outage_s": tally.longest_outage_s,
        "down_s": tally.seconds["down"],
    }


def _reason(entry: Entry, min_coverage_pct: float) -> Reason | None:
    if entry["uptime_pct"] is None:
        return Reason.NO_EVIDENCE
    return Reason.LOW_COVERAGE if entry["coverage_pct"] < min_coverage_pct else None


def _ranked(entries: Sequence[Entry]) -> Iterator[Entry]:
    ordered = sorted(entries, key=lambda e: (e["technology"], -e["uptime_pct"], e["code"]))
    for _, equals in groupby(ordered, key=lambda e: e["technology"]):
        rank, last = 0, None
        for place, entry in enumerate(equals, 1):
            rank, last = (rank, last) if entry["uptime_pct"] == last else (place, entry["uptime_pct"])
            yield {"rank": rank, **entry}


def as_csv(answer: RankingOut, separator: Separator) -> bytes:
    """Return the ranking as a table; those that could not be ranked come last, without a rank and with the reason."""
    period: csv_export.Row = {"from": csv_export.cell(answer.from_), "to": csv_export.cell(answer.to)}
    nothing = csv_export.flatten(RankedOut, None) | csv_export.flatten(UnrankedOut, None)
    rows = [period | nothing | csv_export.flatten(type(entry), entry) for entry in (*answer.items, *answer.unranked)]
    return csv_export.csv([*period, *nothing], rows, separator)
