"""Every outage that touches a site's contracts in a period: its bounds, what of it counts, why the rest does not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.availability import site_history
from app.availability.contract_reader import contract_names
from app.availability.contract_verdict import ContractName, contract_verdicts, visible_policies
from app.availability.counted_runs import CountedRun, counted_runs
from app.availability.counting import CountableHistory, cut_slices
from app.availability.outage_evidence import describe_runs
from app.availability.site_history import SiteRef
from app.availability.tally import Tally
from app.availability.timeline import timelines
from app.core.clock import floor_second, from_slot, to_slot
from app.core.periods import Period
from app.incidents import recorded_outages
from app.judging.claim_store import claims_of
from app.registry.models import Site


async def contract_outages(
    session: AsyncSession, site: Site, period: Period, *, first: int, limit: int, caller: Caller, now: datetime
) -> dict[str, Any]:
    """Return `limit` outages from the `first` on, how many there are, and the verdicts that they add up to.

    1. Count the period, and pick the runs in it.
    2. For those of the page read the evidence that bounds them, the incidents, and who gave which cause.
    """
    sites = [SiteRef(site.id, site.village_code, site.created_at)]
    history = (await site_history.load_histories(session, sites, period.start, period.end, now=now))[site.id]
    names = await contract_names(session, history.contract_ids, provider_id=caller.provider_id)
    history = replace(history, policies=visible_policies(history.policies, names))
    slices = cut_slices(history, [(to_slot(period.start), to_slot(period.end))])
    whole = Tally()
    for slice_ in slices:
        whole.add(slice_)
    runs = counted_runs(slices)
    return {
        "contracts": contract_verdicts(history.policies, whole.contracts, names, period),
        "items": await _describe(session, site, history, runs[first : first + limit], names, caller=caller, now=now),
        "count": len(runs),
    }


async def _describe(
    session: AsyncSession,
    site: Site,
    history: CountableHistory,
    runs: Sequence[CountedRun],
    names: Mapping[int, ContractName],
    *,
    caller: Caller,
    now: datetime,
) -> list[dict[str, Any]]:
    if not runs:
        return []
    start = from_slot(min(counted.run.started_at for counted in runs))
    end = from_slot(max(counted.run.ended_at for counted in runs))
    segments = (await timelines(session, {site.id: site.created_at}, start, end, now=floor_second(now)))[site.id]
    claims = (await claims_of(session, [site.id], start, end)).get(site.id, ())
    recorded = await recorded_outages.outages_of_site(session, site.id, start, end, caller=caller)
    causes = await recorded_outages.causes_of_site(session, site.id, start, end, caller=caller)
    described = describe_runs(history, segments, claims, runs, recorded, causes)
    return [
        {
            **fields,
            "contract": names[counted.policy.terms.contract_id]._asdict(),
            "link_role": counted.policy.terms.link_role,
        }
        for counted, fields in zip(runs, described, strict=True)
    ]
