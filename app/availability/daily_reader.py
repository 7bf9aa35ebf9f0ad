"""Counted days read back, merged into tallies: from the sums of regions, or site by site where some are stale."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ARRAY, Date, DateTime, Integer, Select, cast, func, literal_column, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import in_region
from app.aggregates.selection import SiteGroup
from app.availability.models import (
    ALL_PROVIDERS,
    ALL_TECHNOLOGIES,
    AvailabilityDay,
    CountedDay,
    OutagePart,
    RegionAvailabilityDay,
    StaleDay,
)
from app.availability.site_history import Place
from app.availability.tally import Tally
from app.core.clock import WITA, from_slot, midnight, to_slot
from app.core.periods import Period
from app.registry.configuration import ConfigurationInForce

Key = tuple[Any, ...]  # the number of a part, then what the grouping adds
STATES = ("up", "degraded", "down", "unreachable", "unknown", "maintenance")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What tallies are kept apart by: the same three times, for the ledger, for rows of sites, for rows of regions."""

    live: Callable[[Place, ConfigurationInForce], Key] = lambda place, setup: ()
    of_sites: Callable[[Any], Sequence[Any]] = lambda table: ()
    of_regions: Sequence[Any] = ()
    regions: Sequence[str] | None = None  # whose rows together are the selection, if there are any
    causes: bool = False  # whether they are asked for


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of a period that are counted, and the (site, day)s that have to be counted again."""

    days: set[date]
    stale: Sequence[tuple[int, date]]

    @property
    def dirty(self) -> set[date]:
        return {day for _, day in self.stale}


async def counted(session: AsyncSession, chosen: SiteGroup, period: Period) -> Days:
    first = _first_whole(period)
    last = period.end.astimezone(WITA).date() - timedelta(days=1)
    days = set(await session.scalars(select(CountedDay.day).where(CountedDay.day.between(first, last))))
    stale = await session.execute(
        select(StaleDay.site_id, StaleDay.day).where(
            StaleDay.day.between(first, last), StaleDay.site_id.in_(chosen.site_ids)
        )
    )
    return Days(days, [(site_id, day) for site_id, day in stale if day in days])


def _first_whole(period: Period) -> date:
    day = period.start.astimezone(WITA).date()
    return day if midnight(day) == period.start else day + timedelta(days=1)


async def read_days(
    session: AsyncSession, chosen: SiteGroup, found: Days, parts: Sequence[Period], grouping: Grouping
) -> dict[Key, Tally]:
    tallies: dict[Key, Tally] = defaultdict(Tally)
    starts = [_first_whole(part) for part in parts]
    by_site = found.days if grouping.regions is None else found.dirty
    for table, days in ((RegionAvailabilityDay, found.days - by_site), (AvailabilityDay, by_site)):
        if days:
            source = _Source(table, chosen, days, found.stale, starts, grouping)
            await _sums(session, source, tallies)
            if grouping.causes:
                await _causes(session, source, tallies)
    return tallies


@dataclass(frozen=True, slots=True)
class _Source:
    table: Any
    chosen: SiteGroup
    days: set[date]
    stale: Sequence[tuple[int, date]]
    starts: Sequence[date]
    grouping: Grouping

    def query(self, *columns: Any, by: Sequence[Any] = ()) -> Select[Any]:
        """The columns, grouped by part and group, and by what is given beside; selected after the key."""
        table = self.table
        number: Any = literal_column("0")
        if len(self.starts) > 1:
            number = func.width_bucket(table.day, cast(list(self.starts), ARRAY(Date))) - 1
        of_region = table is RegionAvailabilityDay
        key = (number, *(self.grouping.of_regions if of_region else self.grouping.of_sites(table)), *by)
        named = [column.label(f"key_{place}") for place, column in enumerate(key)]
        query = select(*named, *columns).select_from(table).where(table.day.between(min(self.days), max(self.days)))
        if max(self.days) - min(self.days) >= timedelta(days=len(self.days)):  # days are missing in between
            query = query.where(table.day == func.any(cast(list(self.days), ARRAY(Date))))
        query = self._of_regions(query) if of_region else self._of_sites(query)
        return query.group_by(*(literal_column(str(place + 1)) for place in range(len(key))))

    def _of_regions(self, query: Select[Any]) -> Select[Any]:
        """The rows of one provider and technology, or of all together, but for what the grouping keeps apart."""
        chosen, table, apart = self.chosen, self.table, {column.key for column in self.grouping.of_regions}
        for column, one, together in (
            (table.provider_id, chosen.provider_id, ALL_PROVIDERS),
            (table.technology, chosen.technology, ALL_TECHNOLOGIES),
        ):
            wanted = together if one is None else one
            query = query.where(column != together if one is None and column.key in apart else column == wanted)
        return query.where(table.region_code.in_(self.grouping.regions or ()))

    def _of_sites(self, query: Select[Any]) -> Select[Any]:
        query = query.where(in_region(self.table.village_code, self.chosen.region))
        if self.chosen.provider_id is not None:
            query = query.where(self.table.provider_id == self.chosen.provider_id)
        if self.chosen.technology is not None:
            query = query.where(self.table.technology == self.chosen.technology)
        if not self.stale:
            return query
        ids, days = zip(*self.stale, strict=True)
        pairs = func.unnest(cast(list(ids), ARRAY(Integer)), cast(list(days), ARRAY(Date)))
        marks = pairs.table_valued("site_id", "day").render_derived()
        marked = select(marks.c.site_id).where(marks.c.site_id == self.table.site_id, marks.c.day == self.table.day)
        return query.where(~marked.exists())

    @property
    def width(self) -> int:
        """How many columns the key has."""
        groups = self.grouping.of_regions if self.table is RegionAvailabilityDay else self.grouping.of_sites(self.table)
        return 1 + len(groups)


async def _sums(session: AsyncSession, source: _Source, tallies: dict[Key, Tally]) -> None:
    table = source.table
    names = (*STATES, "outages", "countable_down_s", "contract_s")
    columns = [func.sum(getattr(table, name)).label(name) for name in names]
    for found in await session.execute(source.query(*columns, func.max(table.longest_outage_s))):
        figures = dict(zip(names, map(int, found[source.width : -1]), strict=True))
        tallies[tuple(found[: source.width])].merge(
            Tally(
                seconds={name: figures[name] for name in STATES},
                whole_outages=figures["outages"],
                longest_whole_s=found[-1],
                contracted=figures["contract_s"] > 0,
                countable_down_s=figures["countable_down_s"],
                contract_s=figures["contract_s"],
            )
        )


async def _causes(session: AsyncSession, source: _Source, tallies: dict[Key, Tally]) -> None:
    each = func.jsonb_each_text(source.table.down_by_cause).table_valued("key", "value").lateral()
    query = source.query(func.sum(cast(each.c.value, Integer)), by=[each.c.key])
    for *key, cause, seconds in await session.execute(query.join(each, true())):
        tallies[tuple(key)].merge(Tally(causes={cause: seconds}))


async def add_crossing(
    session: AsyncSession,
    chosen: SiteGroup,
    found: Days,
    parts: Sequence[Period],
    grouping: Grouping,
    tallies: dict[Key, Tally],
) -> None:
    """Adds the outages that cross midnight, once each: what was counted live of one joins what the days hold of it."""
    if not found.days:
        return
    source = _Source(OutagePart, chosen, found.days, found.stale, [_first_whole(part) for part in parts], grouping)
    by = [OutagePart.site_id, OutagePart.started_at]
    columns = list(source.query(func.sum(OutagePart.seconds).label("seconds"), by=by).subquery().c)
    key, outage, seconds = columns[: source.width], columns[source.width : -1], columns[-1]
    apart = select(*key, func.count(), func.max(seconds)).group_by(*key)
    live = {outage for tally in tallies.values() for outage in tally.parts}
    if live:
        joined = _any_of(live, *outage)
        apart = apart.where(~joined)
        for *place, site_id, started_at, length in await session.execute(select(*columns).where(joined)):
            known = tallies[tuple(place)].parts
            known[site_id, to_slot(started_at)] = known.get((site_id, to_slot(started_at)), 0) + length
    for *place, outages, longest in await session.execute(apart):
        tallies[tuple(place)].merge(Tally(whole_outages=outages, longest_whole_s=longest))


def _any_of(outages: Collection[tuple[int, int]], site_id: Any, started_at: Any) -> Any:
    ids, starts = [number for number, _ in outages], [from_slot(slot) for _, slot in outages]
    pairs = func.unnest(cast(ids, ARRAY(Integer)), cast(starts, ARRAY(DateTime(timezone=True))))
    named = pairs.table_valued("site_id", "started_at").render_derived()
    return select(named.c.site_id).where(named.c.site_id == site_id, named.c.started_at == started_at).exists()


def ranges_without(period: Period, days: set[date]) -> Iterator[tuple[int, int]]:
    """What of the period lies outside those days."""
    low = to_slot(period.start)
    for day in sorted(days):
        start = to_slot(midnight(day))
        if low < start:
            yield low, start
        low = start + 86_400
    if low < to_slot(period.end):
        yield low, to_slot(period.end)
