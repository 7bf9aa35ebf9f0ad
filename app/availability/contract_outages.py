"""Every outage that touches a site's contracts in a period: its bounds, what of it counts, why the rest does not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.availability import site_history
from app.availability.contract_outage_schemas import OutageKind
from app.availability.contract_reader import contract_names
from app.availability.contract_verdict import ContractName, contract_verdicts, visible_policies
from app.availability.counted_runs import CountedRun, counted_runs
from app.availability.counting import CountableHistory, cut_slices
from app.availability.intervals import FOREVER
from app.availability.site_history import SiteRef
from app.availability.slices import Run
from app.availability.tally import Tally
from app.availability.timeline import TimelineSegment, timelines
from app.core.clock import floor_second, from_slot, to_slot
from app.core.periods import Period
from app.incidents import recorded_outages
from app.incidents.outages import LedgerSegment, Outage, ServicePeriod, derive_outages
from app.incidents.recorded_outages import RecordedCause, RecordedOutage
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
    outages = {to_slot(outage.started_at): outage for outage in derive_outages(*_ledger(history, segments), claims)}
    recorded = await recorded_outages.outages_of_site(session, site.id, start, end, caller=caller)
    causes = await recorded_outages.causes_of_site(session, site.id, start, end, caller=caller)
    last = history.states[-1][1]
    return [
        {
            **_bounds(counted.run, segments, outages.get(counted.run.outage_at), lasts_at=last),
            **counted.figures,
            **_cause(counted.run, causes),
            **_incident(counted.run, recorded),
            "contract": names[counted.policy.terms.contract_id]._asdict(),
            "link_role": counted.policy.terms.link_role,
        }
        for counted in runs
    ]


def _ledger(
    history: CountableHistory, segments: Sequence[TimelineSegment]
) -> tuple[list[LedgerSegment], list[ServicePeriod]]:
    ledger = [
        LedgerSegment(
            segment.started_at,
            segment.ended_at,
            segment.state,
            segment.last_ok_at,
            segment.confirmed_at,
            segment.first_ok_after,
            segment.last_loss_at,
        )
        for segment in segments
    ]
    return ledger, [ServicePeriod(from_slot(a), None if b == FOREVER else from_slot(b)) for a, b in history.service]


def _bounds(run: Run, segments: Sequence[TimelineSegment], outage: Outage | None, *, lasts_at: int) -> dict[str, Any]:
    """Return the evidence that bounds a run. One that is not over by `lasts_at` has no end."""
    lasts = run.ended_at >= lasts_at and not run.answered
    start, end = from_slot(run.started_at), from_slot(run.ended_at)
    within = [segment for segment in segments if segment.started_at < end and segment.ended_at > start]
    last_ok_at = first_ok_after = None
    if within and not run.is_degraded:
        last_ok_at = within[0].last_ok_at
        first_ok_after = (within[-1].first_ok_after or end) if run.answered else None
    return {
        "kind": OutageKind.DEGRADED if run.is_degraded else OutageKind.DOWNTIME,
        "last_ok_at": last_ok_at,
        "started_at": start,
        "confirmed_at": None if outage is None else outage.confirmed_at,
        "ended_at": None if lasts else end,
        "first_ok_after": first_ok_after,
        "duration_s": None if lasts else run.ended_at - run.started_at,
        "duration_min_s": None if outage is None else outage.proven_s,
        "duration_max_s": _seconds(last_ok_at, first_ok_after),
    }


def _cause(run: Run, causes: Sequence[RecordedCause]) -> dict[str, Any]:
    """Return the cause that holds for most of the run, and who set it."""
    start, end = from_slot(run.started_at), from_slot(run.ended_at)

    def overlap(cause: RecordedCause) -> timedelta:
        return min(cause.ended_at or end, end) - max(cause.started_at, start)

    longest = max(causes, key=overlap, default=None)
    if longest is None or overlap(longest) <= timedelta(0):
        return {"cause": None, "cause_set_by": None, "cause_set_at": None}
    return {"cause": longest.cause, "cause_set_by": longest.set_by, "cause_set_at": longest.set_at}


def _incident(run: Run, recorded: Sequence[RecordedOutage]) -> dict[str, Any]:
    start, end = from_slot(run.started_at), from_slot(run.ended_at)
    within = (one for one in recorded if one.started_at < end and (one.ended_at is None or one.ended_at > start))
    outage = None if run.is_degraded else next(within, None)
    return {
        "incident_id": None if outage is None else outage.incident_id,
        "ticket_no": None if outage is None else outage.ticket_no,
    }


def _seconds(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else round((end - start).total_seconds())
