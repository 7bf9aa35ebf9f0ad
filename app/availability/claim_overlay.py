"""Lays what devices claim over what is proven, as maintenance is: never part of a judged state. Pure.

A claim makes `unknown` of an outage, which it contests, and `up` of what is unknown. A site that has never answered
stays unknown: its first answer must be heard.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.availability.intervals import IntervalMap
from app.availability.timeline import TimelineSegment
from app.core.clock import to_slot
from app.judging.claims import Claim
from app.judging.judge import BAD
from app.registry.models import State, UnknownReason

CLAIMED_KINDS = frozenset({State.UP.value, State.UNKNOWN.value})


def claimed_state(proven: State) -> State:
    """Return what a second counts as that a device claims to have been good."""
    if proven in BAD:
        return State.UNKNOWN
    return State.UP if proven is State.UNKNOWN else proven


def claimed_intervals(segments: Iterable[TimelineSegment], claims: Sequence[Claim]) -> IntervalMap[bool]:
    """Return where claims decide what a site's seconds count as."""
    return [
        (to_slot(segment.started_at), to_slot(segment.ended_at), True)
        for segment in overlay(segments, claims)
        if segment.claim is not None
    ]


def overlay(segments: Iterable[TimelineSegment], claims: Sequence[Claim]) -> list[TimelineSegment]:
    """Return the segments cut at the bounds of the claims that change them, those under a claim as what they count."""
    result: list[TimelineSegment] = []
    for segment in segments:
        rest = segment
        for claim in claims if _is_claimable(segment) else ():
            start, end = max(claim.started_at, rest.started_at), min(claim.ended_at, rest.ended_at)
            if start < end:
                result += [replace(rest, ended_at=start)] if rest.started_at < start else []
                result.append(_claimed(rest, replace(rest, started_at=start, ended_at=end), claim))
                rest = replace(rest, started_at=end)
        result += [rest] if rest.started_at < rest.ended_at else []
    return result


def _is_claimable(segment: TimelineSegment) -> bool:
    return claimed_state(segment.state) is not segment.state and segment.unknown_reason is not UnknownReason.NEVER_SEEN


def _claimed(segment: TimelineSegment, part: TimelineSegment, claim: Claim) -> TimelineSegment:
    state = claimed_state(segment.state)
    reason = UnknownReason.CLAIMED if state is State.UNKNOWN else None
    return replace(part, state=state, unknown_reason=reason, confirmed_at=None, claim=claim, proven_state=segment.state)
