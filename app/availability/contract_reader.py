"""Reads what contracts count of sites: whole days from the daily rollup, the rest counted on request."""

from collections import defaultdict
from collections.abc import Collection
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


async def contract_tallies(
    session: AsyncSession, group: SiteGroup, period: Period, *, contract_id: int | None = None, now: datetime
) -> dict[ContractKey, ContractTally]:
    """Return what contracts (or the one given) count of the group's access points in the period."""
    days = await find_counted_days(session, group, period)
    tallies = await _read_days(session, group, days, contract_id)
    sites = await site_history.list_sites(session, group.site_ids)
    async for site, slices in uncounted_slices(session, sites, days, [period], now=now):
        for _, slice_ in slices:
            configuration = slice_.configuration
            if configuration is None or not slice_.contracts or not group.includes(configuration):
                continue
            place = configuration.provider_id, Technology(configuration.technology), configuration.village_code
            for contract in slice_.contracts:
                terms = contract.policy.terms
                if contract_id in {None, terms.contract_id}:
                    key = ContractKey(site.id, *terms, *place)
                    tallies[key].add(slice_.length_s, contract.counted_as, claimed=slice_.claimed)
    return tallies


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


async def _read_days(
    session: AsyncSession, group: SiteGroup, counted: CountedDays, contract_id: int | None
) -> dict[ContractKey, ContractTally]:
    tallies: dict[ContractKey, ContractTally] = defaultdict(ContractTally)
    if not counted.days:
        return tallies
    query = DayQuery(ContractDay, group, counted.days, counted.stale, [min(counted.days)], Grouping())
    of_contract = true() if contract_id is None else ContractDay.contract_id == contract_id
    sums = [func.sum(getattr(ContractDay, name)) for name in SUMS]
    for row in await session.execute(query.select(*sums, by=KEY).where(of_contract)):
        covered_s, service_s, good_s, counted_s, unknown_s, claimed_s = map(int, row[-len(SUMS) :])
        tallies[ContractKey(*row[1 : -len(SUMS)])] = ContractTally(
            covered_s, service_s, good_s, counted_s, unknown_s, claimed_s
        )
    reasons = func.jsonb_each_text(ContractDay.excluded).table_valued("key", "value").lateral()
    seconds_by_reason = query.select(func.sum(cast(reasons.c.value, Integer)), by=[*KEY, reasons.c.key])
    for _, *key, reason, seconds in await session.execute(seconds_by_reason.join(reasons, true()).where(of_contract)):
        tallies[ContractKey(*key)].excluded[reason] = int(seconds)
    return tallies
