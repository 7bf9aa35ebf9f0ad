"""Judges one reading at a time: from a site's judge state to the next one and the state changes it proves. Pure.

Nothing is inferred from silence. A state reaches as far as its evidence holds (app/core/freshness.py); beyond that it
is `unknown`. A fault of ours is no evidence: it neither confirms nor ends anything, it only lets time pass.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.clock import from_slot, to_slot
from app.core.freshness import holds_until, lapses_at
from app.judging.degraded import (
    WINDOW_READINGS,
    DegradedThresholds,
    WindowReading,
    first_degraded,
    last_answer,
    lost_in_part,
    recovered_window,
)
from app.registry.models import State, UnknownReason
from probes.contract import Outcome

CONFIRMING_TIMEOUTS = 2  # consecutive timeouts that make an outage
GOOD, BAD = frozenset({State.UP, State.DEGRADED}), frozenset({State.DOWN, State.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class JudgeState:
    """All that judgement carries from one reading of a site to the next."""

    state: State
    unknown_reason: UnknownReason | None
    since: datetime
    valid_s: int
    addressed_at: datetime
    evidence_at: datetime | None = None  # slot of the last reading that supports the state
    seen_at: datetime | None = None  # slot of the last reading judged
    timeouts: int = 0  # consecutive, not yet an outage: below CONFIRMING_TIMEOUTS
    pending_at: datetime | None = None  # slot of the first of them
    pending_behind: bool = False  # whether the parent was out at that one
    pending_valid_s: int = 0  # for how long that one is valid by itself
    last_ok_at: datetime | None = None
    commissioned_at: datetime | None = None  # the first answer, from the present address or an earlier one
    window: tuple[WindowReading, ...] = ()  # the last WINDOW_READINGS readings while the state is good


@dataclass(frozen=True, slots=True)
class Observation:
    """A reading as judgement sees it: `outcome` is `fault` where we were blind."""

    slot: datetime
    outcome: Outcome
    valid_s: int
    sent: int
    received: int
    rtt_us: int  # the median
    thresholds: DegradedThresholds
    behind: bool = False  # its parent was out
    answered_after_s: int = 0  # how long after `slot` the first packet that was answered left at the latest
    lost_from: tuple[str, ...] = ()  # of an answer: the vantages that lose the site
    partial_from: datetime | None = None  # since when one of them loses it, if it lost two looks in a row


@dataclass(frozen=True, slots=True)
class StateChange:
    """From `at` on the site is in this state; whatever was recorded from `at` on is replaced.

    `last_loss_at` and `first_ok_after` belong to the state that ends: its last lost reading, and by when the site
    answered again at the latest, None if another reason than an answer ended it.
    """

    at: datetime
    state: State
    unknown_reason: UnknownReason | None = None
    last_ok_at: datetime | None = None
    confirmed_at: datetime | None = None
    last_loss_at: datetime | None = None
    first_ok_after: datetime | None = None


def judge(
    current: JudgeState, observation: Observation, *, gap_reason: UnknownReason = UnknownReason.SILENT
) -> tuple[JudgeState, list[StateChange]]:
    """Return the next judge state and the state changes that this observation makes certain, in order of time.

    `gap_reason` says why nothing was seen since the last evidence. An observation that is not newer than the last one
    judged changes nothing.
    """
    if current.seen_at is not None and observation.slot <= current.seen_at:
        return current, []
    changes: list[StateChange] = []
    current = _expire(current, observation.slot, changes, gap_reason, answered=observation.outcome is Outcome.OK)
    if observation.outcome is Outcome.OK:
        current = _grade(_judge_answer(current, observation, changes), observation.thresholds, changes)
    elif observation.outcome is Outcome.TIMEOUT:
        current = replace(_judge_timeout(current, observation, changes), seen_at=observation.slot)
    else:
        current = replace(current, seen_at=observation.slot)
    return current, changes


def readdress(current: JudgeState, at: datetime) -> tuple[JudgeState, list[StateChange]]:
    """Start anew at `at`, from where the site is measured at another address, at which nothing has answered yet."""
    changes: list[StateChange] = []
    since = max(at, current.since)
    current = _expire(current, since, changes, UnknownReason.SILENT, answered=True)
    current = _apply(current, changes, StateChange(since, State.UNKNOWN, UnknownReason.NEVER_SEEN, current.last_ok_at))
    return replace(current, addressed_at=at, last_ok_at=None), changes


def _expire(
    current: JudgeState, at: datetime, changes: list[StateChange], reason: UnknownReason, *, answered: bool
) -> JudgeState:
    """Drop what no longer holds at `at`: a timeout that was not confirmed in time, a state whose evidence is too old.

    A timeout that is still fresh outlives the state: unless there was an answer, the next one confirms it. A state that
    lapsed only after such a timeout waits for that. A gap that is our own fault may hide something: over it a state and
    a timeout hold for one interval only.
    """
    end_of_hold = holds_until if reason is UnknownReason.SILENT else lapses_at
    if current.pending_at is not None and end_of_hold(current.pending_at, current.valid_s) < at:
        current = replace(current, timeouts=0, pending_at=None, pending_valid_s=0)
    if current.evidence_at is None or end_of_hold(current.evidence_at, current.valid_s) >= at:
        return current
    lapsed_at = lapses_at(current.evidence_at, current.valid_s)
    if current.pending_at is not None and current.pending_at <= lapsed_at and not answered:
        return current
    lapsed = _apply(current, changes, StateChange(lapsed_at, State.UNKNOWN, reason, current.last_ok_at))
    return replace(
        lapsed,
        timeouts=current.timeouts,
        pending_at=current.pending_at,
        pending_behind=current.pending_behind,
        pending_valid_s=current.pending_valid_s,
    )


def _judge_answer(current: JudgeState, observation: Observation, changes: list[StateChange]) -> JudgeState:
    if current.state not in GOOD:
        answered_by = observation.slot + timedelta(seconds=observation.answered_after_s)
        up = StateChange(observation.slot, State.UP, None, current.last_ok_at, first_ok_after=answered_by)
        current = _apply(current, changes, up)
    return replace(
        current,
        evidence_at=observation.slot,
        seen_at=observation.slot,
        valid_s=observation.valid_s,
        timeouts=0,
        pending_at=None,
        pending_valid_s=0,
        last_ok_at=observation.slot,
        commissioned_at=current.commissioned_at or observation.slot,
        window=_extended_window(current, observation),
    )


def _judge_timeout(current: JudgeState, observation: Observation, changes: list[StateChange]) -> JudgeState:
    if current.last_ok_at is None:
        return current  # a mistyped address is not an outage
    valid_s = max(observation.valid_s, _left_of_last_loss_s(current, observation))
    if current.state not in BAD:
        current = _count_timeout(current, observation)
        if current.timeouts < CONFIRMING_TIMEOUTS:
            return current
        first, behind = current.pending_at or observation.slot, current.pending_behind
        current = _apply(current, changes, _outage(first, behind, current, observation))
    if current.state is not _bad_state(observation.behind):
        current = _apply(current, changes, _outage(observation.slot, observation.behind, current, observation))
    return replace(current, evidence_at=observation.slot, valid_s=valid_s)


def _left_of_last_loss_s(current: JudgeState, observation: Observation) -> int:
    """Return how much of the time that the loss before is valid for is left: no later loss makes that less."""
    if current.state in BAD and current.evidence_at is not None:
        ends_at = lapses_at(current.evidence_at, current.valid_s)
    elif current.pending_at is not None:
        ends_at = lapses_at(current.pending_at, current.pending_valid_s)
    else:
        return 0
    return to_slot(ends_at) - to_slot(observation.slot)


def _count_timeout(current: JudgeState, observation: Observation) -> JudgeState:
    """Count it; beside evidence it is valid as long as that is, else for its own interval."""
    is_first = current.pending_at is None
    return replace(
        current,
        valid_s=observation.valid_s if current.evidence_at is None else current.valid_s,
        timeouts=current.timeouts + 1,
        pending_at=observation.slot if is_first else current.pending_at,
        pending_behind=observation.behind if is_first else current.pending_behind,
        pending_valid_s=observation.valid_s if is_first else current.pending_valid_s,
        window=_extended_window(current, observation) if current.state in GOOD else (),
    )


def _outage(at: datetime, behind: bool, current: JudgeState, observation: Observation) -> StateChange:
    return StateChange(at, _bad_state(behind), None, current.last_ok_at, confirmed_at=observation.slot)


def _bad_state(behind: bool) -> State:
    return State.UNREACHABLE if behind else State.DOWN


def _extended_window(current: JudgeState, observation: Observation) -> tuple[WindowReading, ...]:
    reading = WindowReading(to_slot(observation.slot), observation.sent, observation.received, observation.rtt_us)
    window = (*current.window, reading)[-WINDOW_READINGS:]
    return window if observation.partial_from is None else lost_in_part(window, to_slot(observation.partial_from))


def _grade(current: JudgeState, thresholds: DegradedThresholds, changes: list[StateChange]) -> JudgeState:
    """Move between up and degraded; either begins with the first reading of its kind, not with the one that proves it.

    No state is left without a second: the answer that brought the site back is `up` even if it was slow.
    """
    if current.state is State.UP:
        if (first := first_degraded(current.window, thresholds, after=current.since)) is None:
            return current
        return _apply(current, changes, StateChange(first, State.DEGRADED, None, last_answer(current.window, first)))
    recovered = recovered_window(current.window, thresholds)
    if not recovered:
        return current
    at = from_slot(recovered[0].slot)
    up = StateChange(at, State.UP, None, last_answer(current.window, at), first_ok_after=at)
    return replace(_apply(current, changes, up), window=recovered)


def _apply(current: JudgeState, changes: list[StateChange], change: StateChange) -> JudgeState:
    """Return the judge state after `change`, and add it to `changes` if it is one."""
    if (change.state, change.unknown_reason) != (current.state, current.unknown_reason):
        changes.append(replace(change, last_loss_at=_last_loss_at(current, before=change.at)))
    return replace(
        current,
        state=change.state,
        unknown_reason=change.unknown_reason,
        since=change.at,
        evidence_at=None if change.state is State.UNKNOWN else current.evidence_at,
        timeouts=0,
        pending_at=None,
        pending_behind=False,
        pending_valid_s=0,
        window=current.window if change.state in GOOD else (),
    )


def _last_loss_at(current: JudgeState, *, before: datetime) -> datetime | None:
    """Return the last lost reading of an outage that goes on until `before`; None of any other state."""
    if current.state not in BAD or current.since >= before:
        return None
    return max(current.evidence_at or current.since, current.since)
