"""Judgement: one reading at a time, from what is carried to what is carried next. Pure: no clock, no session.

Nothing is inferred from silence. A state reaches as far as the evidence for it holds (app/evidence.py); beyond it is
`unknown`. A fault of ours is no evidence at all: it neither confirms nor ends anything, it only lets time pass.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from app.evidence import holds_until, lapses_at
from app.registry.models import State, UnknownReason
from probes.contract import Outcome

CONFIRM = 2  # consecutive timeouts that make an outage


@dataclass(frozen=True, slots=True)
class Carry:
    """All that judgement remembers of a site between two readings."""

    state: State
    unknown_reason: UnknownReason | None
    since: datetime
    valid_s: int
    addressed_at: datetime
    evidence_at: datetime | None = None  # slot of the last reading that supports the state
    seen_at: datetime | None = None  # slot of the last reading judged
    timeouts: int = 0  # consecutive, at most CONFIRM
    pending_at: datetime | None = None  # slot of the first of them
    last_ok_at: datetime | None = None
    commissioned_at: datetime | None = None  # the first answer from the present address or an earlier one


@dataclass(frozen=True, slots=True)
class Look:
    """A reading as judgement sees it: `outcome` is `fault` where we were blind."""

    slot: datetime
    outcome: Outcome
    valid_s: int


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on the site's state is this one; what was recorded beyond `at` gives way."""

    at: datetime
    state: State
    unknown_reason: UnknownReason | None = None
    last_ok_at: datetime | None = None


def judge(carry: Carry, look: Look, *, gap_reason: UnknownReason = UnknownReason.SILENT) -> tuple[Carry, list[Change]]:
    """The next carry, and the changes of state that this look makes certain, in the order of time.

    `gap_reason` says what kept us from looking since the last evidence, `silent` if nothing did. A look that is not
    newer than what has been judged changes nothing.
    """
    if carry.seen_at is not None and look.slot <= carry.seen_at:
        return carry, []
    changes: list[Change] = []
    carry = replace(carry, seen_at=look.slot)
    carry = _without_stale(carry, look.slot, changes, gap_reason)
    if look.outcome is Outcome.OK:
        carry = _answered(carry, look, changes)
    elif look.outcome is Outcome.TIMEOUT:
        carry = _unanswered(carry, look, changes)
    return carry, changes


def readdress(carry: Carry, at: datetime) -> tuple[Carry, list[Change]]:
    """The site is measured somewhere else from now on, and there nobody has been seen yet."""
    changes: list[Change] = []
    at = max(at, carry.since)
    carry = _without_stale(carry, at, changes, UnknownReason.SILENT)
    carry = _to(carry, changes, Change(at, State.UNKNOWN, UnknownReason.NEVER_SEEN, carry.last_ok_at))
    return replace(carry, addressed_at=at, last_ok_at=None, timeouts=0, pending_at=None), changes


def rewind(carry: Carry, at: datetime) -> tuple[Carry, list[Change]]:
    """The clock was set back to `at`, before what was judged last: from there on nothing is known any more."""
    changes = [Change(at, State.UNKNOWN, UnknownReason.BLIND, carry.last_ok_at)]
    carry = replace(carry, state=State.UNKNOWN, unknown_reason=UnknownReason.BLIND, since=at, evidence_at=None)
    last_ok_at = carry.last_ok_at and min(carry.last_ok_at, at)
    return replace(carry, seen_at=None, timeouts=0, pending_at=None, last_ok_at=last_ok_at), changes


def _without_stale(carry: Carry, at: datetime, changes: list[Change], reason: UnknownReason) -> Carry:
    """Lets go of what no longer holds at `at`: a state whose evidence is too old, a timeout never confirmed.

    A gap that is our own fault is known to hide something: there a state holds for one interval only.
    """
    holds = holds_until if reason is UnknownReason.SILENT else lapses_at
    if carry.evidence_at is not None and holds(carry.evidence_at, carry.valid_s) < at:
        lapsed = Change(lapses_at(carry.evidence_at, carry.valid_s), State.UNKNOWN, reason, carry.last_ok_at)
        return _to(carry, changes, lapsed)
    if carry.pending_at is not None and holds_until(carry.pending_at, carry.valid_s) < at:
        return replace(carry, timeouts=0, pending_at=None)
    return carry


def _answered(carry: Carry, look: Look, changes: list[Change]) -> Carry:
    if carry.state is not State.UP:
        change = Change(look.slot, State.UP, None, carry.last_ok_at)
        carry = _to(carry, changes, change)
    return replace(
        carry,
        evidence_at=look.slot,
        valid_s=look.valid_s,
        timeouts=0,
        pending_at=None,
        last_ok_at=look.slot,
        commissioned_at=carry.commissioned_at or look.slot,
    )


def _unanswered(carry: Carry, look: Look, changes: list[Change]) -> Carry:
    if carry.last_ok_at is None:
        return carry  # a mistyped address is not an outage
    if carry.state is State.DOWN:
        return replace(carry, evidence_at=look.slot, valid_s=look.valid_s)
    pending_at = carry.pending_at or look.slot
    carry = replace(carry, timeouts=carry.timeouts + 1, pending_at=pending_at)
    if carry.timeouts < CONFIRM:
        return carry
    carry = _to(carry, changes, Change(pending_at, State.DOWN, None, carry.last_ok_at))
    return replace(carry, evidence_at=look.slot, valid_s=look.valid_s)


def _to(carry: Carry, changes: list[Change], change: Change) -> Carry:
    if (change.state, change.unknown_reason) != (carry.state, carry.unknown_reason):
        changes.append(change)
    evidence_at = None if change.state is State.UNKNOWN else carry.evidence_at
    return replace(
        carry,
        state=change.state,
        unknown_reason=change.unknown_reason,
        since=change.at,
        evidence_at=evidence_at,
        timeouts=0 if change.state is State.UNKNOWN else carry.timeouts,
        pending_at=None if change.state is State.UNKNOWN else carry.pending_at,
    )
