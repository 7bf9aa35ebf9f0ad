"""Find contracts whose target this month can no longer be met, or nearly so."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, and_, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE
from app.aggregates.selection import SiteGroup
from app.alerts.condition import Condition, Finding
from app.alerts.matching import MemberFacts
from app.alerts.models import AnnouncementKind
from app.availability.contract_reader import contract_tallies
from app.availability.contract_tally import ContractTally
from app.availability.percent import percent
from app.core.clock import WITA, floor_second, midnight
from app.core.periods import Period, first_of_next_month
from app.postgres.engine import among
from app.registry.models import Contract, ContractTerms, Lifecycle, Site, SiteContract

RISK_PCT = 80  # of the downtime that the month's target allows
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SiteMonth:
    """A site's seconds of the month under a contract, as far as they are known, and with what is still to come."""

    service_s: int
    down_s: int
    unknown_s: int

    def allowed_s(self, target_pct: Decimal) -> int:
        return int(self.service_s * (100 - target_pct) / 100)


@dataclass(slots=True)
class ContractMonth:
    number: str
    target_pct: Decimal
    sites: dict[int, SiteMonth] = field(default_factory=dict)
    members: set[MemberFacts] = field(default_factory=set)

    @property
    def total(self) -> SiteMonth:
        months = self.sites.values()
        return SiteMonth(*(sum(getattr(each, name) for each in months) for name in SiteMonth.__slots__))

    @property
    def at_risk(self) -> bool:
        total = self.total
        return total.down_s > 0 and 100 * total.down_s >= RISK_PCT * total.allowed_s(self.target_pct)

    def facts(self, month: date) -> dict[str, Any]:
        total, target = self.total, self.target_pct
        allowed_s = total.allowed_s(target)
        return {
            "contract": self.number,
            "month": f"{month:%Y-%m}",
            "target_pct": float(target),
            "best_pct": percent(total.service_s - total.down_s, total.service_s),
            "worst_pct": percent(total.service_s - total.down_s - total.unknown_s, total.service_s),
            "allowed_s": allowed_s,
            "down_s": total.down_s,
            "used_pct": percent(total.down_s, allowed_s),
            "sites": len(self.sites),
            "sites_missed": sum(each.down_s > each.allowed_s(target) for each in self.sites.values()),
        }


async def find_at_risk(session: AsyncSession, known: Collection[str], *, now: datetime) -> Finding:
    """`facts`: contract (its number), month, target_pct; best_pct and worst_pct at the month's end, if no more is lost;
    allowed_s, down_s that count, used_pct; sites, and sites_missed: of which each by itself can no longer meet it.

    The sum over a contract's sites decides: of many sites one misses its target nearly every month.
    """
    today = now.astimezone(WITA).date()
    month = today.replace(day=1)
    period = Period(midnight(month), floor_second(now))
    assignments = await _assignments(session, today) if period.start < period.end else ()
    if not assignments:
        return Finding([], dict.fromkeys(known, AnnouncementKind.WITHDRAWN))
    terms = await _terms(session, {row.contract_id for row in assignments}, today)
    counted = await _counted(session, period, now)
    contracts: dict[int, ContractMonth] = {}
    for row in assignments:
        if (term := terms.get(row.contract_id)) is not None:
            contract = contracts.setdefault(row.contract_id, ContractMonth(row.number, term.sla_target_pct))
            tally = counted.get((row.site_id, row.contract_id), ContractTally())
            service_s = tally.service_s + _to_come_s(row, term, now)
            contract.sites[row.site_id] = SiteMonth(service_s, tally.counted_down_s, tally.unknown_s)
            contract.members.add(MemberFacts(row.village_code, row.technology, row.provider_id))
    for (site_id, contract_id), tally in counted.items():  # also those that left it this month
        if (contract_month := contracts.get(contract_id)) is not None and site_id not in contract_month.sites:
            contract_month.sites[site_id] = SiteMonth(tally.service_s, tally.counted_down_s, tally.unknown_s)
    return _finding(known, contracts, month)


def _finding(known: Collection[str], contracts: Mapping[int, ContractMonth], month: date) -> Finding:
    conditions = [
        Condition(
            AnnouncementKind.CONTRACT_AT_RISK,
            f"contract:{contract_id}",
            midnight(month),
            contract.facts(month),
            frozenset(contract.members),
        )
        for contract_id, contract in sorted(contracts.items())
        if contract.at_risk
    ]
    over = set(known) - {condition.subject for condition in conditions}
    valid = {f"contract:{contract_id}" for contract_id in contracts}
    return Finding(
        conditions,
        {each: AnnouncementKind.RECOVERED if each in valid else AnnouncementKind.WITHDRAWN for each in over},
    )


async def _counted(session: AsyncSession, period: Period, now: datetime) -> dict[tuple[int, int], ContractTally]:
    """By site and contract."""
    counted: dict[tuple[int, int], ContractTally] = defaultdict(ContractTally)
    for key, tally in (await contract_tallies(session, SiteGroup(PROVINCE), period, now=now)).items():
        counted[key.site_id, key.contract_id].merge(tally)
    return counted


async def _assignments(session: AsyncSession, today: date) -> Sequence[Any]:
    """Return the active sites that are under a contract today."""
    row, day = SiteContract, cast(literal(today), Date)
    query = (
        select(row.site_id, row.contract_id, row.ended_on, Contract.valid_to, Contract.number)
        .add_columns(Site.village_code, Site.technology, Site.provider_id)
        .join(Contract, Contract.id == row.contract_id)
        .join(Site, and_(Site.id == row.site_id, Site.lifecycle == Lifecycle.ACTIVE))
        .where(row.withdrawn_at.is_(None), func.daterange(row.started_on, row.ended_on).op("@>")(day))
        .where(func.daterange(Contract.valid_from, Contract.valid_to).op("@>")(day))
    )
    return (await session.execute(query)).all()


async def _terms(session: AsyncSession, contract_ids: Iterable[int], today: date) -> dict[int, ContractTerms]:
    """Return the terms in force today, by contract."""
    query = select(ContractTerms).where(
        among(ContractTerms.contract_id, list(contract_ids)), ContractTerms.started_on <= today
    )
    return {terms.contract_id: terms for terms in await session.scalars(query.order_by(ContractTerms.started_on))}


def _to_come_s(row: Any, terms: ContractTerms, now: datetime) -> int:
    """Return the seconds of service until the month ends, or before that the site's time under the contract."""
    today = now.astimezone(WITA).date()
    last = min(
        day for day in (first_of_next_month(today.replace(day=1)), row.ended_on, row.valid_to) if day is not None
    )
    left = max(midnight(last) - now, timedelta())
    return int(left.total_seconds() * _share_of_day(terms.service_from, terms.service_to))


def _share_of_day(start: time | None, end: time | None) -> float:
    if start is None or end is None:
        return 1.0
    seconds = [timedelta(hours=each.hour, minutes=each.minute, seconds=each.second) for each in (start, end)]
    return ((seconds[1] - seconds[0]) % DAY or DAY) / DAY
