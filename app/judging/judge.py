"""Judgement: one reading at a time, from what is carried to what is carried next. Pure: no clock, no session.

Nothing is inferred from silence. A state reaches as far as the evidence for it holds (app/core/freshness.py); beyond
it is `unknown`. A fault of ours is no evidence at all: it neither confirms nor ends anything, it only lets time pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from statistics import median_high
from typing import NamedTuple

from app.core.clock import from_slot, to_slot
from app.core.freshness import holds_until, lapses_at
from app.registry.models import State, UnknownReason
from probes.contract import Outcome

CONFIRM = 2  # consecutive timeouts that make an outage
WINDOW_READINGS = 10  # readings over which loss is pooled
MEDIAN_OF = 3  # answered readings whose median round trip is judged
GOOD, BAD = frozenset({State.UP, State.DEGRADED}), frozenset({State.DOWN, State.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class DegradedThresholds:
    """Where `degraded` begins, for one technology."""

    loss_pct: float
    rtt_us: int


class WindowReading(NamedTuple):
    """A reading of the window that `degraded` is judged by, as it is stored: its slot in seconds since 1970.

    `rtt_us` is its median, 0 if nothing answered.
    """

    slot: int
    sent: int
    received: int
    rtt_us: int


@dataclass(frozen=True, slots=True)
class JudgeState:
    """All that judgement remembers of a site between two readings."""

    state: State
    unknown_reason: UnknownReason | None
    since: datetime
    valid_s: int
    addressed_at: datetime
    evidence_at: datetime | None = None  # slot of the last reading that supports the state
    seen_at: datetime | None = None  # slot of the last reading judged
    timeouts: int = 0  # consecutive and not yet an outage: below CONFIRM
    pending_at: datetime | None = None  # slot of the first of them
    pending_behind: bool = False  # whether that one was lost behind a parent that is out
    last_ok_at: datetime | None = None
    commissioned_at: datetime | None = None  # the first answer from the present address or an earlier one
    window: tuple[WindowReading, ...] = ()  # the last POOLED readings while the state is good


@dataclass(frozen=True, slots=True)
class Observation:
    """A reading as judgement sees it: `outcome` is `fault` where we were blind."""

    slot: datetime
    outcome: Outcome
    valid_s: int
    sent: int
    received: int
    rtt_us: int  # the median
    limits: DegradedThresholds
    behind: bool = False  # its parent was out


@dataclass(frozen=True, slots=True)
class StateChange:
    """From `at` on the site's state is this one; what was recorded beyond `at` gives way."""

    at: datetime
    state: State
    unknown_reason: UnknownReason | None = None
    last_ok_at: datetime | None = None
    confirmed_at: datetime | None = None


def judge(
    carry: JudgeState, look: Observation, *, gap_reason: UnknownReason = UnknownReason.SILENT
) -> tuple[JudgeState, list[StateChange]]:
    """The next carry, and the changes of state that this look makes certain, in the order of time.

    `gap_reason` says what kept us from looking since the last evidence, `silent` if nothing did. A look that is not
    newer than what has been judged changes nothing.
    """
    if carry.seen_at is not None and look.slot <= carry.seen_at:
        return carry, []
    changes: list[StateChange] = []
    carry = _without_stale(carry, look.slot, changes, gap_reason)
    if look.outcome is Outcome.OK:
        carry = _graded(_answered(carry, look, changes), look.limits, changes)
    elif look.outcome is Outcome.TIMEOUT:
        carry = replace(_unanswered(carry, look, changes), seen_at=look.slot)
    else:
        carry = replace(carry, seen_at=look.slot)
    return carry, changes


def readdress(carry: JudgeState, at: datetime) -> tuple[JudgeState, list[StateChange]]:
    """The site is measured somewhere else from `at` on, and there nobody has been seen yet."""
    changes: list[StateChange] = []
    since = max(at, carry.since)
    carry = _without_stale(carry, since, changes, UnknownReason.SILENT)
    carry = _to(carry, changes, StateChange(since, State.UNKNOWN, UnknownReason.NEVER_SEEN, carry.last_ok_at))
    return replace(carry, addressed_at=at, last_ok_at=None), changes


def _without_stale(carry: JudgeState, at: datetime, changes: list[StateChange], reason: UnknownReason) -> JudgeState:
    """Lets go of what no longer holds at `at`: a state whose evidence is too old, a timeout never confirmed.

    A gap that is our own fault is known to hide something: there a state holds for one interval only.
    """
    holds = holds_until if reason is UnknownReason.SILENT else lapses_at
    if carry.evidence_at is not None and holds(carry.evidence_at, carry.valid_s) < at:
        lapsed = StateChange(lapses_at(carry.evidence_at, carry.valid_s), State.UNKNOWN, reason, carry.last_ok_at)
        return _to(carry, changes, lapsed)
    if carry.pending_at is not None and holds_until(carry.pending_at, carry.valid_s) < at:
        return replace(carry, timeouts=0, pending_at=None)
    return carry


def _answered(carry: JudgeState, look: Observation, changes: list[StateChange]) -> JudgeState:
    if carry.state not in GOOD:
        carry = _to(carry, changes, StateChange(look.slot, State.UP, None, carry.last_ok_at))
    return replace(
        carry,
        evidence_at=look.slot,
        seen_at=look.slot,
        valid_s=look.valid_s,
        timeouts=0,
        pending_at=None,
        last_ok_at=look.slot,
        commissioned_at=carry.commissioned_at or look.slot,
        window=_pooled(carry, look),
    )


def _unanswered(carry: JudgeState, look: Observation, changes: list[StateChange]) -> JudgeState:
    if carry.last_ok_at is None:
        return carry  # a mistyped address is not an outage
    if carry.state not in BAD:
        carry = _pending(carry, look)
        if carry.timeouts < CONFIRM:
            return carry
        first, behind = carry.pending_at or look.slot, carry.pending_behind
        carry = _to(carry, changes, _outage(first, behind, carry, look))
    if carry.state is not _bad(look.behind):
        carry = _to(carry, changes, _outage(look.slot, look.behind, carry, look))
    return replace(carry, evidence_at=look.slot, valid_s=look.valid_s)


def _pending(carry: JudgeState, look: Observation) -> JudgeState:
    first = carry.pending_at is None
    return replace(
        carry,
        timeouts=carry.timeouts + 1,
        pending_at=look.slot if first else carry.pending_at,
        pending_behind=look.behind if first else carry.pending_behind,
        window=_pooled(carry, look) if carry.state in GOOD else (),
    )


def _outage(at: datetime, behind: bool, carry: JudgeState, look: Observation) -> StateChange:
    return StateChange(at, _bad(behind), None, carry.last_ok_at, confirmed_at=look.slot)


def _bad(behind: bool) -> State:
    return State.UNREACHABLE if behind else State.DOWN


def _pooled(carry: JudgeState, look: Observation) -> tuple[WindowReading, ...]:
    return (*carry.window, WindowReading(to_slot(look.slot), look.sent, look.received, look.rtt_us))[-WINDOW_READINGS:]


def _graded(carry: JudgeState, limits: DegradedThresholds, changes: list[StateChange]) -> JudgeState:
    """Between up and degraded; either begins with the reading that belongs to it, not with the one that proves it."""
    if carry.state is State.UP:
        if (first := _first_offence(carry, limits)) is None:
            return carry
        return _to(carry, changes, StateChange(first, State.DEGRADED, None, _last_answer(carry.window, first)))
    sound = _sound_again(carry.window, limits)
    if not sound:
        return carry
    at = from_slot(sound[0].slot)
    return replace(_to(carry, changes, StateChange(at, State.UP, None, _last_answer(carry.window, at))), window=sound)


def _first_offence(carry: JudgeState, limits: DegradedThresholds) -> datetime | None:
    """Slot of the first reading at fault: with loss where the whole window loses too much, else too slow.

    The answer that brought the site back is `up` all the same: no state is without a second.
    """
    window, offences = carry.window, []
    if all(_is_clean(one, limits) for one in window):
        return None
    if len(window) == WINDOW_READINGS and _loses(window, limits.loss_pct):
        offences += [one.slot for one in window if one.received < one.sent]
    if _is_slow(window, limits):
        offences += [one.slot for one in _answering(window) if one.rtt_us > limits.rtt_us]
    return min((slot for slot in map(from_slot, offences) if slot > carry.since), default=None)


def _sound_again(window: Sequence[WindowReading], limits: DegradedThresholds) -> tuple[WindowReading, ...]:
    """The clean readings at the window's end, once it has settled: loss below half its limit, round trips normal."""
    if _loses(window, limits.loss_pct / 2) or _is_slow(window, limits):
        return ()
    return tuple(takewhile(lambda one: _is_clean(one, limits), reversed(window)))[::-1]


def _is_clean(one: WindowReading, limits: DegradedThresholds) -> bool:
    return one.received == one.sent and one.rtt_us <= limits.rtt_us


def _loses(window: Sequence[WindowReading], loss_pct: float) -> bool:
    sent, received = sum(one.sent for one in window), sum(one.received for one in window)
    return sent > received and 100 * (sent - received) >= loss_pct * sent


def _is_slow(window: Sequence[WindowReading], limits: DegradedThresholds) -> bool:
    latest = _answering(window)
    return len(latest) == MEDIAN_OF and median_high(one.rtt_us for one in latest) > limits.rtt_us


def _answering(window: Sequence[WindowReading]) -> list[WindowReading]:
    return [one for one in window if one.received][-MEDIAN_OF:]


def _last_answer(window: Sequence[WindowReading], before: datetime) -> datetime | None:
    return max((slot for one in window if one.received and (slot := from_slot(one.slot)) < before), default=None)


def _to(carry: JudgeState, changes: list[StateChange], change: StateChange) -> JudgeState:
    if (change.state, change.unknown_reason) != (carry.state, carry.unknown_reason):
        changes.append(change)
    return replace(
        carry,
        state=change.state,
        unknown_reason=change.unknown_reason,
        since=change.at,
        evidence_at=None if change.state is State.UNKNOWN else carry.evidence_at,
        timeouts=0,
        pending_at=None,
        pending_behind=False,
        window=carry.window if change.state in GOOD else (),
    )
