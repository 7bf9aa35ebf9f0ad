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
        recorded, causes = await _read_recorded(session, {site_id: runs for site_id, (_, runs) in sliced.items()})
        for site_id, (of_site, runs) in sliced.items():
            of_site.outages = _describe(evidence[site_id], runs, recorded.get(site_id, ()), causes.get(site_id, ()))
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
    session: AsyncSession, runs: Mapping[int, Sequence[CountedRun]]
) -> tuple[Mapping[int, Sequence[RecordedOutage]], Mapping[int, Sequence[RecordedCause]]]:
    """Return the incidents and causes of sites that have runs, as far as these reach."""
    all_runs = [counted.run for of_site in runs.values() for counted in of_site]
    if not all_runs:
        return {}, {}
    low = from_slot(min(run.started_at for run in all_runs))
    high = from_slot(max(run.ended_at for run in all_runs))
    ids = [site_id for site_id, of_site in runs.items() if of_site]
    recorded = await recorded_outages.outages_of_sites(session, ids, low, high)
    return recorded, await recorded_outages.causes_of_sites(session, ids, low, high)


def _describe(
    evidence: SiteEvidence,
    runs: Sequence[CountedRun],
    recorded: Sequence[RecordedOutage],
    causes: Sequence[RecordedCause],
) -> list[dict[str, Any]]:
    if not runs:
        return []
    described = describe_runs(evidence.history, evidence.segments, evidence.claims, runs, recorded, causes)
    return [
        {**fields, "link_role": run.policy.terms.link_role, "terms_on": run.policy.terms.terms_on}
        for run, fields in zip(runs, described, strict=True)
    ]
