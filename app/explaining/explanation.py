"""Puts together why a second of a site has its state."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.availability.slices import ContractSlice
from app.core.clock import floor_second
from app.core.periods import Period
from app.explaining import readings
from app.explaining.judged_reading import JudgedReading
from app.explaining.second import SECOND, Second, explained_second
from app.explaining.sentences import sentences
from app.incidents.near_words import near_words
from app.judging.dated_profiles import ProfileInForce
from app.judging.judge import BAD, CONFIRMING_TIMEOUTS
from app.judging.rejudge import rejudgeable_since
from app.judging.settled import sites_settled_until
from app.measurements import near_looks
from app.measurements.fields import measurement_fields
from app.measurements.near import NearSeen
from app.registry.models import Site

NEAR_WITHIN = timedelta(minutes=10)


async def explanation(
    session: AsyncSession, site: Site, at: datetime, *, caller: Caller, around: timedelta, now: datetime
) -> dict[str, Any]:
    """Return the fields of an ExplanationOut of the second that begins at `at`."""
    settled_until = await sites_settled_until(session, [site.id], Period(at, at + SECOND), now=now)
    second = await explained_second(session, site, at, caller=caller, now=now)
    evidence = await readings.load(session, site.id, at, second.segment, around=around)
    near = await _near(session, site.id, second)
    settled, kept = settled_until > at, at >= await rejudgeable_since(session)
    segment = second.segment
    return {
        "site_id": site.id,
        "code": site.code,
        "at": at,
        "state": None if segment is None else segment.state,
        "unknown_reason": None if segment is None else segment.unknown_reason,
        "counts_as": second.kind,
        "settled": settled,
        "why": sentences(second, evidence, near=near, settled=settled, readings_kept=kept),
        "segment": _segment(second, now),
        "profile": _profile(second.profile),
        "near": None if near is None else {"slot": near.at, **near.near._asdict(), "text": near_words(near.near)},
        "readings": _readings(evidence.around),
        "beginning": _readings(evidence.beginning),
        "blind_ranges": [
            {"source": source, "started_at": gap.started_at, "ended_at": gap.ended_at, "reason": gap.reason}
            for source, gap in evidence.blind
        ],
        "parent": _parent(second),
        "maintenance": [{"started_at": start, "ended_at": end} for start, end in second.maintenance],
        "incident_id": None if second.outage is None else second.outage.incident_id,
        "cause": second.cause,
        "contracts": [{"contract": name._asdict(), **_contract(counted)} for name, counted in second.contracts],
    }


async def _near(session: AsyncSession, site_id: int, second: Second) -> NearSeen | None:
    """Return what the site's device saw near itself in its last lost look of the outage up to the second, or None."""
    segment = second.segment
    if segment is None or segment.state not in BAD:
        return None
    return await near_looks.find_last_lost(
        session, site_id, max(segment.started_at, second.at - NEAR_WITHIN), second.at
    )


def _segment(second: Second, now: datetime) -> dict[str, Any] | None:
    segment = second.segment
    if segment is None:
        return None
    claim = segment.claim
    names = ("started_at", "state", "unknown_reason", "last_ok_at", "first_ok_after", "confirmed_at")
    end = floor_second(now) if second.lasts else segment.ended_at
    return {name: getattr(segment, name) for name in names} | {
        "ended_at": None if second.lasts else segment.ended_at,
        "duration_s": round((end - segment.started_at).total_seconds()),
        "evidence": second.evidence,
        "claim": None
        if claim is None
        else {
            "started_at": claim.started_at,
            "ended_at": claim.ended_at,
            "received_at": claim.received_at,
            "proven_state": segment.proven_state,
        },
    }


def _profile(in_force: ProfileInForce | None) -> dict[str, Any] | None:
    if in_force is None:
        return None
    profile = in_force.profile
    return {
        "technology": in_force.technology,
        "started_at": in_force.started_at,
        "interval_s": profile.interval_s,
        "loss_pct": profile.loss_pct,
        "rtt_ms": profile.rtt_ms,
        "confirming_losses": CONFIRMING_TIMEOUTS,
    }


def _readings(judged: Sequence[JudgedReading]) -> list[dict[str, Any]]:
    return [
        {
            **measurement_fields(one.reading, one.our_fault),
            "judged_as": one.judged_as,
            "behind_parent": one.observation.behind,
            "marks": one.marks,
        }
        for one in judged
    ]


def _parent(second: Second) -> dict[str, Any] | None:
    parent = second.parent
    if parent is None:
        return None
    fields = {name: getattr(parent, name) for name in ("code", "name", "state", "since")}
    return {"id": parent.site_id, **fields}


def _contract(counted: ContractSlice) -> dict[str, Any]:
    return {
        "link_role": counted.policy.terms.link_role,
        "counted_as": counted.counted_as,
        "proven_s": None if counted.length is None else counted.length.proven_s,
        "min_outage_s": counted.policy.min_outage_s,
    }
