"""Builds the reading of a target from what probing it came to."""

import time
from collections.abc import Iterable

from probes.contract import Outcome, Reading, Target

STALLED_S = 0.5  # a timeout that fires this late shows that our event loop was stalled


def answered(target: Target, rtts_ns: Iterable[int], *, sent: int = 1, reason: str | None = None) -> Reading:
    rtt_us = tuple((rtt + 500) // 1000 for rtt in rtts_ns)
    return Reading(target.key, target.slot, Outcome.OK, sent, rtt_us, target.valid_s, reason)


def unanswered(target: Target, *, sent: int = 1, reason: str | None = None) -> Reading:
    """Return a timeout: we probed properly and got no good answer; `reason` says how it failed if that is known."""
    return Reading(target.key, target.slot, Outcome.TIMEOUT, sent, (), target.valid_s, reason)


def fault(target: Target, reason: str) -> Reading:
    return Reading(target.key, target.slot, Outcome.FAULT, 0, (), target.valid_s, reason)


def timed_out(target: Target, started_ns: int) -> Reading:
    """Return a timeout, or a fault if our event loop itself was late: then its clock proves nothing."""
    if time.monotonic_ns() - started_ns > (target.timeout_s + STALLED_S) * 1e9:
        return fault(target, "this service was too busy to see an answer in time")
    return unanswered(target, reason="no answer")
