"""What bounds an outage that a contract counts, who gave which cause, and the incident. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from app.availability.contract_outage_schemas import OutageKind
from app.availability.counted_runs import CountedRun
from app.availability.counting import CountableHistory
from app.availability.intervals import FOREVER
from app.availability.slices import Run
from app.availability.timeline import TimelineSegment
from app.core.clock import from_slot, to_slot
from app.incidents.outages import LedgerSegment, Outage, ServicePeriod, derive_outages
from app.incidents.recorded_outages import RecordedCause, RecordedOutage
from app.judging.claims import Claim


def describe_runs(
    history: CountableHistory,
    segments: Sequence[TimelineSegment],
    claims: Sequence[Claim],
    runs: Sequence[CountedRun],
    recorded: Sequence[RecordedOutage],
    causes: Sequence[RecordedCause],
) -> list[dict[str, Any]]:
    """Return the fields of a ContractOutage for each run, but the contract's name and role."""
    outages = {to_slot(outage.started_at): outage for outage in derive_outages(*_ledger(history, segments), claims)}
    last = history.states[-1][1]
    return [
        {
            **_bounds(counted.run, segments, outages.get(counted.run.outage_at), lasts_at=last),
            **counted.figures,
            **_cause(counted.run, causes),
            **_incident(counted.run, recorded),
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
