"""What a contract counts of many sites, with every outage behind it: one pass over their histories for both."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import site_history
from app.availability.contract_tally import ContractTally
from app.availability.counted_runs import CountedRun, counted_runs
from app.availability.counting import cut_slices
from app.availability.intervals import IntervalMap
from app.availability.outage_evidence import describe_runs
from app.availability.outage_parents import DatedParent, describe_parent, load_parents
from app.availability.policy import SitePolicies, TermsKey
from app.availability.site_history import SiteEvidence, SiteRef
from app.core.clock import from_slot, to_slot
from app.core.periods import Period
from app.incidents import recorded_outages
from app.incidents.recorded_outages import RecordedCause, RecordedOutage
from app.registry.configuration import ConfigurationInForce

CHUNK = 25  # sites at a time: their slices are dropped before the next are read


@dataclass(slots=True)
class CountedSite:
    """What the contract counts of a site as known now, and the outages in order, with `link_role` and `terms_on`.

    An outage across a change of terms has a part under each of them.
    """

    policies: SitePolicies = ()  # of this contract
    configurations: IntervalMap[ConfigurationInForce] = field(default_factory=list)
    tallies: dict[TermsKey, ContractTally] = field(default_factory=lambda: defaultdict(ContractTally))
    outages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordedOfSites:
    """What people recorded of outages, and the nodes that sites depended on, by site."""

    outages: Mapping[int, Sequence[RecordedOutage]] = field(default_factory=dict)
    causes: Mapping[int, Sequence[RecordedCause]] = field(default_factory=dict)
    parents: Mapping[int, Sequence[DatedParent]] = field(default_factory=dict)


async def count_sites(
    session: AsyncSession, sites: Sequence[SiteRef], contract_id: int, period: Period, *, now: datetime
) -> dict[int, CountedSite]:
    """Return what the contract counts of each site in the period as known now, with fields of an office's view.

    1. Count the sites, some at a time, and pick the runs that the contract counts.
    2. Read incidents and causes as far as these reach, and describe each run.
    """
    counted: dict[int, CountedSite] = {}
    for first in range(0, len(sites), CHUNK):
        chunk = sites[first : first + CHUNK]
        evidence = await site_history.load_evidence(session, chunk, period.start, period.end, now=now)
        sliced = await asyncio.to_thread(_count_all, evidence, contract_id, period)
        recorded = await _read_recorded(session, {site_id: runs for site_id, (_, runs) in sliced.items()}, contract_id)
        for site_id, (of_site, runs) in sliced.items():
            of_site.outages = _describe(evidence[site_id], runs, site_id, recorded)
            counted[site_id] = of_site
    return counted


def _count_all(
    evidence: Mapping[int, SiteEvidence], contract_id: int, period: Period
) -> dict[int, tuple[CountedSite, list[CountedRun]]]:
    return {site_id: _count(of_site, contract_id, period) for site_id, of_site in evidence.items()}


def _count(evidence: SiteEvidence, contract_id: int, period: Period) -> tuple[CountedSite, list[CountedRun]]:
    history = evidence.history
    own = [[dated for dated in of_role if dated[2].terms.contract_id == contract_id] for of_role in history.policies]
    counted = CountedSite([of_role for of_role in own if of_role], history.configurations)
    slices = cut_slices(history, [(to_slot(period.start), to_slot(period.end))])
    for slice_ in slices:
        for contract in slice_.contracts:
            if contract.policy.terms.contract_id == contract_id:
                tally = counted.tallies[contract.policy.terms]
                tally.add(slice_.length_s, contract.counted_as, claimed=slice_.claimed)
    return counted, [run for run in counted_runs(slices, by_terms=True) if run.policy.terms.contract_id == contract_id]


async def _read_recorded(
    session: AsyncSession, runs: Mapping[int, Sequence[CountedRun]], contract_id: int
) -> RecordedOfSites:
    """Return the incidents, causes and parents of sites that have runs, as far as these reach."""
    all_runs = [counted.run for of_site in runs.values() for counted in of_site]
    if not all_runs:
        return RecordedOfSites()
    low = from_slot(min(run.started_at for run in all_runs))
    high = from_slot(max(run.ended_at for run in all_runs))
    ids = [site_id for site_id, of_site in runs.items() if of_site]
    return RecordedOfSites(
        await recorded_outages.outages_of_sites(session, ids, low, high),
        await recorded_outages.causes_of_sites(session, ids, low, high),
        await load_parents(session, ids, contract_id, low, high),
    )


def _describe(
    evidence: SiteEvidence, runs: Sequence[CountedRun], site_id: int, recorded: RecordedOfSites
) -> list[dict[str, Any]]:
    if not runs:
        return []
    outages, causes = recorded.outages.get(site_id, ()), recorded.causes.get(site_id, ())
    parents = recorded.parents.get(site_id, ())
    described = describe_runs(evidence.history, evidence.segments, evidence.claims, runs, outages, causes)
    return [_fields(counted, fields, evidence, parents) for counted, fields in zip(runs, described, strict=True)]


def _fields(
    counted: CountedRun, fields: dict[str, Any], evidence: SiteEvidence, parents: Sequence[DatedParent]
) -> dict[str, Any]:
    behind = describe_parent(counted.run, evidence.segments, parents)
    return {
        **fields,
        **behind,
        "confirmed_at": fields["confirmed_at"] or behind.get("confirmed_at"),
        "contested_s": counted.contested_s,
        "link_role": counted.policy.terms.link_role,
        "terms_on": counted.policy.terms.terms_on,
    }
