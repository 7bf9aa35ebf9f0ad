"""What a contract counts of many sites, with every outage behind it: one pass over their histories for both."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import site_history
from app.availability.contract_tally import ContractTally
from app.availability.counted_runs import counted_runs
from app.availability.counting import cut_slices
from app.availability.intervals import IntervalMap
from app.availability.outage_evidence import describe_runs
from app.availability.policy import SitePolicies, TermsKey
from app.availability.site_history import SiteEvidence, SiteRef
from app.core.clock import to_slot
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
    """Return what the contract counts of each site in the period as known now, with fields of an office's view."""
    counted: dict[int, CountedSite] = {}
    for first in range(0, len(sites), CHUNK):
        chunk = sites[first : first + CHUNK]
        evidence = await site_history.load_evidence(session, chunk, period.start, period.end, now=now)
        low, high = _extent(evidence, period)
        ids = list(evidence)
        recorded = await recorded_outages.outages_of_sites(session, ids, low, high)
        causes = await recorded_outages.causes_of_sites(session, ids, low, high)

        def count(
            evidence: dict[int, SiteEvidence] = evidence,
            recorded: dict[int, list[RecordedOutage]] = recorded,
            causes: dict[int, list[RecordedCause]] = causes,
        ) -> dict[int, CountedSite]:
            return {
                site_id: _count(of_site, contract_id, period, recorded.get(site_id, []), causes.get(site_id, []))
                for site_id, of_site in evidence.items()
            }

        counted |= await asyncio.to_thread(count)
    return counted


def _extent(evidence: dict[int, SiteEvidence], period: Period) -> tuple[datetime, datetime]:
    """Return from when to when outages that touch the period reach."""
    segments = [segment for of_site in evidence.values() for segment in of_site.segments]
    low = min((segment.started_at for segment in segments), default=period.start)
    return min(low, period.start), max((segment.ended_at for segment in segments), default=period.end)


def _count(
    evidence: SiteEvidence,
    contract_id: int,
    period: Period,
    recorded: Sequence[RecordedOutage],
    causes: Sequence[RecordedCause],
) -> CountedSite:
    history = evidence.history
    own = [[dated for dated in of_role if dated[2].terms.contract_id == contract_id] for of_role in history.policies]
    counted = CountedSite([of_role for of_role in own if of_role], history.configurations)
    slices = cut_slices(history, [(to_slot(period.start), to_slot(period.end))])
    for slice_ in slices:
        for contract in slice_.contracts:
            if contract.policy.terms.contract_id == contract_id:
                tally = counted.tallies[contract.policy.terms]
                tally.add(slice_.length_s, contract.counted_as, claimed=slice_.claimed)
    runs = [run for run in counted_runs(slices, by_terms=True) if run.policy.terms.contract_id == contract_id]
    if runs:
        described = describe_runs(history, evidence.segments, evidence.claims, runs, recorded, causes)
        counted.outages = [
            {**fields, "link_role": run.policy.terms.link_role, "terms_on": run.policy.terms.terms_on}
            for run, fields in zip(runs, described, strict=True)
        ]
    return counted
