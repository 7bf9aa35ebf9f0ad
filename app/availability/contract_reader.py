"""Reads what contracts count of sites: whole days from the daily rollup, the rest counted on request."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Integer, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.availability import site_history
from app.availability.contract_tally import ContractTally
from app.availability.contract_verdict import ContractName
from app.availability.daily_reader import CountedDays, DayQuery, Grouping, find_counted_days
from app.availability.live_counting import uncounted_slices
from app.availability.models import ContractDay
from app.availability.policy import TermsKey
from app.availability.site_history import SiteRef
from app.availability.slices import Slice
from app.core.periods import Period
from app.postgres.engine import among
from app.profiles import Technology
from app.registry.models import Contract, LinkRole, Provider


class ContractKey(NamedTuple):
    """A site under some terms of a contract, and whose it was, how connected and where."""

    site_id: int
    contract_id: int
    link_role: LinkRole
    terms_on: date
    provider_id: int
    technology: Technology
    village_code: str

    @property
    def terms(self) -> TermsKey:
        return TermsKey(self.contract_id, self.link_role, self.terms_on)


SUMS = ("covered_s", "service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s")
KEY = [getattr(ContractDay, name) for name in ContractKey._fields]


class ContractCount:
    """Adds up what contracts (or the one given) count of a group's access points, apart by ContractKey."""

    def __init__(self, group: SiteGroup, contract_id: int | None = None) -> None:
        self.group = group
        self.tallies: dict[ContractKey, ContractTally] = defaultdict(ContractTally)
        self._contract_id = contract_id

    def add(self, site: SiteRef, slices: Iterable[Slice]) -> None:
        for slice_ in slices:
            configuration = slice_.configuration
            if configuration is None or not slice_.contracts or not self.group.includes(configuration):
                continue
            place = configuration.provider_id, Technology(configuration.technology), configuration.village_code
            for contract in slice_.contracts:
                terms = contract.policy.terms
                if self._contract_id in {None, terms.contract_id}:
                    key = ContractKey(site.id, *terms, *place)
                    self.tallies[key].add(slice_.length_s, contract.counted_as, claimed=slice_.claimed)

    async def add_days(self, session: AsyncSession, counted: CountedDays) -> None:
        """Add the counted days but those that are stale."""
        if not counted.days:
            return
        query = DayQuery(ContractDay, self.group, counted.days, counted.stale, [min(counted.days)], Grouping())
        of_contract = true() if self._contract_id is None else ContractDay.contract_id == self._contract_id
        sums = [func.sum(getattr(ContractDay, name)) for name in SUMS]
        for row in await session.execute(query.select(*sums, by=KEY).where(of_contract)):
            covered_s, service_s, good_s, counted_s, unknown_s, claimed_s = map(int, row[-len(SUMS) :])
            tally = ContractTally(covered_s, service_s, good_s, counted_s, unknown_s, claimed_s)
            self.tallies[ContractKey(*row[1 : -len(SUMS)])].merge(tally)
        reasons = func.jsonb_each_text(ContractDay.excluded).table_valued("key", "value").lateral()
        by_reason = query.select(func.sum(cast(reasons.c.value, Integer)), by=[*KEY, reasons.c.key])
        for _, *key, reason, excluded_s in await session.execute(by_reason.join(reasons, true()).where(of_contract)):
            self.tallies[ContractKey(*key)].merge(ContractTally(excluded={reason: int(excluded_s)}))


async def contract_tallies(
    session: AsyncSession, group: SiteGroup, period: Period, *, contract_id: int | None = None, now: datetime
) -> dict[ContractKey, ContractTally]:
    """Return what contracts (or the one given) count of the group's access points in the period."""
    count = ContractCount(group, contract_id)
    days = await find_counted_days(session, group, period)
    await count.add_days(session, days)
    sites = await site_history.list_sites(session, group.site_ids)
    async for site, slices in uncounted_slices(session, sites, days, [period], now=now):
        count.add(site, (slice_ for _, slice_ in slices))
    return count.tallies


async def contract_names(
    session: AsyncSession, contract_ids: Collection[int], *, provider_id: int | None = None
) -> dict[int, ContractName]:
    """Return how these contracts are named, those of the provider alone if one is given."""
    if not contract_ids:
        return {}
    query = select(Contract.id, Contract.number, Provider.slug).join(Provider, Provider.id == Contract.provider_id)
    query = query.where(among(Contract.id, contract_ids))
    if provider_id is not None:
        query = query.where(Contract.provider_id == provider_id)
    return {row.id: ContractName(*row) for row in await session.execute(query)}
