"""Loads what counting needs of many sites in a few statements: states, claims, configurations, causes, terms."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import maintenance_overlay
from app.availability.claim_overlay import claimed_intervals
from app.availability.counting import CountableHistory
from app.availability.intervals import FOREVER, IntervalMap, clip
from app.availability.policy import ContractPolicy, DatedContract, SitePolicies, TermsKey
from app.availability.timeline import TimelineSegment, timelines
from app.core.clock import floor_second, from_slot, midnight, to_slot
from app.incidents.outage_causes import causes_of
from app.judging.claim_store import claims_of
from app.judging.claims import Claim
from app.judging.judge import BAD
from app.postgres.engine import among
from app.registry.configuration import ConfigurationInForce
from app.registry.daily_hours import parse_daily_hours
from app.registry.models import (
    Contract,
    ContractTerms,
    Lifecycle,
    LinkRole,
    Presence,
    Site,
    SiteConfiguration,
    SiteContract,
    State,
)


@dataclass(frozen=True, slots=True)
class SiteRef:
    """The columns of a site that counting needs."""

    id: int
    village_code: str
    registered_at: datetime


@dataclass(slots=True)
class DatedConfigurations:
    """A site's configurations; the first one also covers the time before it."""

    configurations: IntervalMap[ConfigurationInForce] = field(default_factory=list)

    @property
    def registered_at(self) -> int:
        return self.configurations[0][1] if self.configurations else 0


@dataclass(frozen=True, slots=True)
class ContractAssignment:
    """The days of a site under a contract, which may be valid on some of them only."""

    contract_id: int
    link_role: LinkRole
    started_on: date
    ended_on: date | None  # exclusive

    @property
    def slots(self) -> tuple[int, int]:
        return to_slot(midnight(self.started_on)), FOREVER if self.ended_on is None else to_slot(
            midnight(self.ended_on)
        )


@dataclass(frozen=True, slots=True)
class SiteEvidence:
    """A site's history, and the segments and claims that it was made of."""

    history: CountableHistory
    segments: Sequence[TimelineSegment]
    claims: Sequence[Claim]


async def list_sites(session: AsyncSession, site_ids: Select[Any]) -> list[SiteRef]:
    rows = await session.execute(select(Site.id, Site.village_code, Site.created_at).where(Site.id.in_(site_ids)))
    return [SiteRef(*row) for row in rows]


async def load_histories(
    session: AsyncSession, sites: Sequence[SiteRef], start: datetime, end: datetime, *, now: datetime
) -> dict[int, CountableHistory]:
    """Return each site's history by its id from start to end; outages in their whole length, and what affects them."""
    evidence = await load_evidence(session, sites, start, end, now=now)
    return {site_id: of_site.history for site_id, of_site in evidence.items()}


async def load_evidence(
    session: AsyncSession, sites: Sequence[SiteRef], start: datetime, end: datetime, *, now: datetime
) -> dict[int, SiteEvidence]:
    """Return each site's history as `load_histories` does, with what it was made of."""
    registered = {site.id: site.registered_at for site in sites}
    if not registered:
        return {}
    segments = await timelines(session, registered, start, end, now=floor_second(now))
    states = {
        site_id: [(to_slot(s.started_at), to_slot(s.ended_at), s.state) for s in timeline]
        for site_id, timeline in segments.items()
    }
    dated = await load_configurations(session, registered)
    policies = await load_policies(session, dated)
    counted_whole = BAD | {State.DEGRADED} if _degraded_counts(policies.values()) else BAD
    since, until = _extent(states.values(), start, end, counted_whole)
    claims = await claims_of(session, list(registered), since, until)
    windows = await maintenance_overlay.windows_of(session, list(registered), since, until)
    causes = await causes_of(session, list(registered), since, until)
    histories = {
        site.id: CountableHistory(
            site_id=site.id,
            states=states[site.id],
            configurations=dated[site.id].configurations,
            last_losses={
                to_slot(s.started_at): to_slot(s.last_loss_at)
                for s in segments[site.id]
                if s.state in BAD and s.last_loss_at is not None
            },
            claims=claimed_intervals(segments[site.id], claims[site.id]) if site.id in claims else [],
            maintenance=[(to_slot(a), to_slot(b), True) for a, b in windows.get(site.id, ())],
            causes=[(to_slot(c.started_at), to_slot(c.ended_at), c.cause.value) for c in causes.get(site.id, ())],
            policies=policies[site.id],
        )
        for site in sites
    }
    return {
        site_id: SiteEvidence(history, segments[site_id], claims.get(site_id, ()))
        for site_id, history in histories.items()
    }


def _extent(
    states: Iterable[IntervalMap[State]], start: datetime, end: datetime, counted_whole: Collection[State]
) -> tuple[datetime, datetime]:
    """Return start and end, moved outwards as far as runs of these states reach beyond them."""
    runs = [(a, b) for intervals in states for a, b, state in intervals if state in counted_whole]
    low, high = min((a for a, _ in runs), default=FOREVER), max((b for _, b in runs), default=0)
    return from_slot(min(low, to_slot(start))), from_slot(max(high, to_slot(end)))


async def load_configurations(session: AsyncSession, site_ids: Collection[int]) -> dict[int, DatedConfigurations]:
    configured = SiteConfiguration
    rows = await session.execute(
        select(
            configured.site_id,
            configured.started_at,
            configured.ended_at,
            configured.lifecycle,
            configured.provider_id,
            configured.technology,
            configured.village_code,
            configured.kind,
            configured.presence,
            configured.public_hours,
        )
        .where(among(configured.site_id, site_ids))
        .order_by(configured.site_id, configured.started_at)
    )
    dated: dict[int, DatedConfigurations] = {site_id: DatedConfigurations() for site_id in site_ids}
    for row in rows:
        _append(dated[row.site_id], row)
    return dated


def _append(site: DatedConfigurations, row: Any) -> None:
    low = to_slot(row.started_at)
    high = FOREVER if row.ended_at is None else to_slot(row.ended_at)
    if not site.configurations:
        site.configurations.append((0, low, _configuration(row, active=False)))
    site.configurations.append((low, high, _configuration(row, active=row.lifecycle is Lifecycle.ACTIVE)))


def _configuration(row: Any, *, active: bool) -> ConfigurationInForce:
    open_hours = () if row.presence is Presence.ALWAYS else parse_daily_hours(row.public_hours)
    return ConfigurationInForce(active, row.provider_id, row.technology, row.village_code, row.kind, open_hours)


async def load_policies(session: AsyncSession, dated: Mapping[int, DatedConfigurations]) -> dict[int, SitePolicies]:
    """Return what counts of each site under its contracts, by its id."""
    assignments = await load_assignments(session, dated)
    contracts = await load_contracts(session, {each.contract_id for of in assignments.values() for each in of})
    policies = {contract_id: contract.policies for contract_id, contract in contracts.items()}  # thousands share few
    return {
        site_id: _policies(assignments.get(site_id, ()), policies, site.registered_at)
        for site_id, site in dated.items()
    }


def _degraded_counts(policies: Iterable[SitePolicies]) -> bool:
    return any(policy.degraded_counts for of_site in policies for of_role in of_site for _, _, policy in of_role)


async def load_assignments(
    session: AsyncSession, site_ids: Collection[int]
) -> defaultdict[int, list[ContractAssignment]]:
    """Return each site's days under contracts by its id, by the day they begin on; of the roles, each has its own."""
    row = SiteContract
    query = (
        select(row.site_id, row.contract_id, row.link_role, row.started_on, row.ended_on)
        .where(among(row.site_id, site_ids), row.withdrawn_at.is_(None))
        .order_by(row.started_on)
    )
    assignments: defaultdict[int, list[ContractAssignment]] = defaultdict(list)
    for site_id, contract_id, link_role, started_on, ended_on in await session.execute(query):
        assignments[site_id].append(ContractAssignment(contract_id, link_role, started_on, ended_on))
    return assignments


def _policies(
    assignments: Iterable[ContractAssignment],
    of_contract: Mapping[int, IntervalMap[ContractPolicy]],
    registered_at: int,
) -> SitePolicies:
    """Return what counts of a site for each of its links, from when it was registered."""
    by_role: dict[LinkRole, IntervalMap[ContractPolicy]] = {role: [] for role in LinkRole}
    for each in assignments:
        start, end = each.slots
        for a, b, policy in clip(of_contract[each.contract_id], max(start, registered_at), end):
            by_role[each.link_role].append((a, b, policy.for_link(each.link_role)))
    return [policies for policies in by_role.values() if policies]


async def load_contracts(session: AsyncSession, contract_ids: Collection[int]) -> dict[int, DatedContract]:
    if not contract_ids:
        return {}
    contracts: dict[int, DatedContract] = {}
    for contract, terms in await session.execute(
        select(Contract, ContractTerms)
        .outerjoin(ContractTerms, ContractTerms.contract_id == Contract.id)
        .where(among(Contract.id, contract_ids))
        .order_by(ContractTerms.started_on)
    ):
        dated = contracts.setdefault(contract.id, DatedContract(contract.valid_from, contract.valid_to, []))
        if terms is not None:
            dated.dated_policies.append((terms.started_on, _policy(terms)))
    return contracts


def _policy(terms: ContractTerms) -> ContractPolicy:
    return ContractPolicy(
        terms.sla_target_pct,
        terms.min_outage_s,
        frozenset(terms.excluded_causes),
        terms.excuses_parent,
        terms.service_from,
        terms.service_to,
        terms.degraded_counts,
        TermsKey(terms.contract_id, LinkRole.PRIMARY, terms.started_on),
    )
