"""Reads the daily rollup into tallies: from the sums of regions, or site by site where some days are stale."""

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
from app.availability.policy import DAY_S
from app.availability.site_history import SiteRef
from app.availability.tally import Tally
from app.core.clock import WITA, from_slot, midnight, to_slot
from app.core.periods import Period
from app.registry.configuration import ConfigurationInForce

GroupKey = tuple[Any, ...]  # the number of a part, then the values of the grouping
STATES = ("up", "degraded", "down", "unreachable", "unknown", "maintenance")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What tallies are kept apart by, said three times: for slices, for rows of sites, for rows of regions."""

    of_slice: Callable[[SiteRef, ConfigurationInForce], GroupKey] = lambda site, configuration: ()
    site_columns: Callable[[Any], Sequence[Any]] = lambda table: ()
    region_columns: Sequence[Any] = ()
    regions: Sequence[str] | None = None  # whose rows sum up to the group; None if no regions' rows do
    causes: bool = False  # whether seconds by cause are needed


@dataclass(frozen=True, slots=True)
class CountedDays:
    """The whole days of a period that are counted, and the (site, day) pairs among them that are stale."""

    days: set[date]
    stale: Sequence[tuple[int, date]]

    @property
    def stale_days(self) -> set[date]:
        return {day for _, day in self.stale}


async def find_counted_days(session: AsyncSession, group: SiteGroup, period: Period) -> CountedDays:
    first = _first_whole_day(period)
    last = period.end.astimezone(WITA).date() - timedelta(days=1)
    days = set(await session.scalars(select(CountedDay.day).where(CountedDay.day.between(first, last))))
    stale = await session.execute(
        select(StaleDay.site_id, StaleDay.day).where(
            StaleDay.day.between(first, last), StaleDay.site_id.in_(group.site_ids)
        )
    )
    return CountedDays(days, [(site_id, day) for site_id, day in stale if day in days])


def _first_whole_day(period: Period) -> date:
    day = period.start.astimezone(WITA).date()
    return day if midnight(day) == period.start else day + timedelta(days=1)


async def read_days(
    session: AsyncSession, group: SiteGroup, counted: CountedDays, parts: Sequence[Period], grouping: Grouping
) -> dict[GroupKey, Tally]:
    """Return tallies by part and grouping, without stale days and without the outages that cross midnight."""
    tallies: dict[GroupKey, Tally] = defaultdict(Tally)
    starts = [_first_whole_day(part) for part in parts]
    by_site = counted.days if grouping.regions is None else counted.stale_days
    for table, days in ((RegionAvailabilityDay, counted.days - by_site), (AvailabilityDay, by_site)):
        if days:
            query = DayQuery(table, group, days, counted.stale, starts, grouping)
            await _add_sums(session, query, tallies)
            if grouping.causes:
                await _add_causes(session, query, tallies)
    return tallies


@dataclass(frozen=True, slots=True)
class DayQuery:
    """Sums over the rows of a group on some days, without those that are stale."""

    table: Any
    group: SiteGroup
    days: set[date]
    stale: Sequence[tuple[int, date]]
    starts: Sequence[date]
    grouping: Grouping

    def select(self, *columns: Any, by: Sequence[Any] = ()) -> Select[Any]:
        """Select the columns after those of the key, grouped by part, by the grouping's columns, and by `by`."""
        table = self.table
        number: Any = literal_column("0")
        if len(self.starts) > 1:
            number = func.width_bucket(table.day, cast(list(self.starts), ARRAY(Date))) - 1
        key = (number, *self._group_columns, *by)
        labelled = [column.label(f"key_{position}") for position, column in enumerate(key)]
        query = select(*labelled, *columns).select_from(table).where(table.day.between(min(self.days), max(self.days)))
        if max(self.days) - min(self.days) >= timedelta(days=len(self.days)):  # days are missing in between
            query = query.where(table.day == func.any(cast(list(self.days), ARRAY(Date))))
        query = self._region_rows(query) if table is RegionAvailabilityDay else self._site_rows(query)
        return query.group_by(*(literal_column(str(position + 1)) for position in range(len(key))))

    def _region_rows(self, query: Select[Any]) -> Select[Any]:
        """Filter the rows of the group's provider and technology, or those of all together unless grouped by it."""
        table, grouped = self.table, {column.key for column in self.grouping.region_columns}
        for column, value, all_together in (
            (table.provider_id, self.group.provider_id, ALL_PROVIDERS),
            (table.technology, self.group.technology, ALL_TECHNOLOGIES),
        ):
            if value is None and column.key in grouped:
                query = query.where(column != all_together)
            else:
                query = query.where(column == (all_together if value is None else value))
        return query.where(table.region_code.in_(self.grouping.regions or ()))

    def _site_rows(self, query: Select[Any]) -> Select[Any]:
        query = query.where(in_region(self.table.village_code, self.group.region))
        if self.group.provider_id is not None:
            query = query.where(self.table.provider_id == self.group.provider_id)
        if self.group.technology is not None:
            query = query.where(self.table.technology == self.group.technology)
        if not self.stale:
            return query
        ids, days = zip(*self.stale, strict=True)
        pairs = func.unnest(cast(list(ids), ARRAY(Integer)), cast(list(days), ARRAY(Date)))
        stale = pairs.table_valued("site_id", "day").render_derived()
        is_stale = select(stale.c.site_id).where(stale.c.site_id == self.table.site_id, stale.c.day == self.table.day)
        return query.where(~is_stale.exists())

    @property
    def _group_columns(self) -> Sequence[Any]:
        if self.table is RegionAvailabilityDay:
            return self.grouping.region_columns
        return self.grouping.site_columns(self.table)

    @property
    def key_length(self) -> int:
        return 1 + len(self._group_columns)


async def _add_sums(session: AsyncSession, query: DayQuery, tallies: dict[GroupKey, Tally]) -> None:
    table = query.table
    names = (*STATES, "claimed", "outages", "countable_down_s", "contract_s")
    columns = [func.sum(getattr(table, name)).label(name) for name in names]
    for row in await session.execute(query.select(*columns, func.max(table.longest_outage_s))):
        sums = dict(zip(names, map(int, row[query.key_length : -1]), strict=True))
        tallies[tuple(row[: query.key_length])].merge(
            Tally(
                seconds={name: sums[name] for name in STATES},
                complete_outages=sums["outages"],
                longest_complete_s=row[-1],
                contracted=sums["contract_s"] > 0,
                countable_down_s=sums["countable_down_s"],
                contract_s=sums["contract_s"],
                claimed_s=sums["claimed"],
            )
        )


async def _add_causes(session: AsyncSession, query: DayQuery, tallies: dict[GroupKey, Tally]) -> None:
    causes = func.jsonb_each_text(query.table.down_by_cause).table_valued("key", "value").lateral()
    statement = query.select(func.sum(cast(causes.c.value, Integer)), by=[causes.c.key]).join(causes, true())
    for *key, cause, seconds in await session.execute(statement):
        tallies[tuple(key)].merge(Tally(causes={cause: seconds}))


async def add_crossing_outages(
    session: AsyncSession,
    group: SiteGroup,
    counted: CountedDays,
    parts: Sequence[Period],
    grouping: Grouping,
    tallies: dict[GroupKey, Tally],
) -> None:
    """Add outages that cross midnight, each once: stored parts of one that the tallies hold already extend that one."""
    if not counted.days:
        return
    starts = [_first_whole_day(part) for part in parts]
    query = DayQuery(OutagePart, group, counted.days, counted.stale, starts, grouping)
    by = [OutagePart.site_id, OutagePart.started_at]
    columns = list(query.select(func.sum(OutagePart.seconds).label("seconds"), by=by).subquery().c)
    key, outage, seconds = columns[: query.key_length], columns[query.key_length : -1], columns[-1]
    separate = select(*key, func.count(), func.max(seconds)).group_by(*key)
    in_tallies = {outage for tally in tallies.values() for outage in tally.outage_seconds}
    if in_tallies:
        joined = _is_any_of(in_tallies, *outage)
        separate = separate.where(~joined)
        for *group_key, site_id, started_at, length in await session.execute(select(*columns).where(joined)):
            outages, started = tallies[tuple(group_key)].outage_seconds, to_slot(started_at)
            outages[site_id, started] = outages.get((site_id, started), 0) + length
    for *group_key, count, longest in await session.execute(separate):
        tallies[tuple(group_key)].merge(Tally(complete_outages=count, longest_complete_s=longest))


def _is_any_of(outages: Collection[tuple[int, int]], site_id: Any, started_at: Any) -> Any:
    ids, starts = [number for number, _ in outages], [from_slot(slot) for _, slot in outages]
    pairs = func.unnest(cast(ids, ARRAY(Integer)), cast(starts, ARRAY(DateTime(timezone=True))))
    wanted = pairs.table_valued("site_id", "started_at").render_derived()
    return select(wanted.c.site_id).where(wanted.c.site_id == site_id, wanted.c.started_at == started_at).exists()


def ranges_outside(period: Period, days: set[date]) -> Iterator[tuple[int, int]]:
    """Yield the parts of the period that lie outside these days."""
    low = to_slot(period.start)
    for day in sorted(days):
        start = to_slot(midnight(day))
        if low < start:
            yield low, start
        low = start + DAY_S
    if low < to_slot(period.end):
        yield low, to_slot(period.end)
