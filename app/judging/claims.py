"""Claimed time: stretches that a device reports as good afterwards, and that nobody heard of at the time. Pure.

A claim is no evidence: the judge does not see it. It is laid over the ledger where time is counted and shown
(`app/availability/claim_overlay.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from app.core.clock import from_slot, to_slot
from app.core.freshness import overdue_after_s
from app.core.ranges import merge_ranges
from probes.contract import Outcome, Reading

LATE = "late"  # the reason of a reading that was not heard in time

SlotRange = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """A stretch that a device claims, with the push that claimed it first."""

    site_id: int
    started_at: datetime
    ended_at: datetime
    received_at: datetime
    address: str | None = None
    boot: str | None = None


def is_claim(reading: Reading) -> bool:
    """Whether a reading answered by its device's account alone."""
    return reading.reason == LATE and reading.outcome is Outcome.FAULT


def claims_of_push(
    site_id: int, readings: Sequence[Reading], received_at: datetime, *, address: str | None, boot: str | None
) -> list[Claim]:
    """Return what the readings of a push claim: each from its slot to the next one, or until that is overdue.

    Where the next one was lost, only its own second: the device does not know when it lost the link in between. What is
    shorter than a beat is no claim: a look takes seconds, in which the link may go or come.
    """
    beat_s = max((reading.valid_s for reading in readings if is_claim(reading)), default=None)
    if beat_s is None:
        return []
    received = to_slot(received_at)
    ordered = sorted(readings, key=lambda reading: reading.slot)
    next_slots = [*map(_claimed_until, ordered, ordered[1:]), received]
    claimed = (
        (reading.slot, min(next_slot, reading.slot + overdue_after_s(reading.valid_s), received))
        for reading, next_slot in zip(ordered, next_slots, strict=True)
        if is_claim(reading)
    )
    return [
        Claim(site_id, from_slot(start), from_slot(end), received_at, address, boot)
        for start, end in merge_ranges(claimed)
        if end - start >= beat_s
    ]


def _claimed_until(reading: Reading, following: Reading) -> int:
    return reading.slot + 1 if following.outcome is Outcome.TIMEOUT else following.slot


def lost_ranges(lost: Sequence[tuple[int, int]]) -> list[SlotRange]:
    """Return the stretches that a device itself reported as lost, from the (slot, valid_s) of its lost readings."""
    ordered = sorted(lost)
    ends = [slot + valid_s for slot, valid_s in ordered]
    for index, ((slot, valid_s), (next_slot, _)) in enumerate(pairwise(ordered)):
        if next_slot <= slot + overdue_after_s(valid_s):
            ends[index] = max(ends[index], next_slot)
    return merge_ranges((slot, end) for (slot, _), end in zip(ordered, ends, strict=True))


def merge_claims(claims: Iterable[Claim], lost: Sequence[SlotRange]) -> list[Claim]:
    """Return one site's claims, those that overlap or adjoin as one, without what its device reported as lost.

    Each keeps the push that claimed its earliest-received part.
    """
    merged: list[Claim] = []
    for claim in sorted(claims, key=lambda claim: claim.started_at):
        if merged and claim.started_at <= merged[-1].ended_at:
            first = min(merged[-1], claim, key=lambda one: one.received_at)
            started_at, ended_at = merged[-1].started_at, max(merged[-1].ended_at, claim.ended_at)
            merged[-1] = replace(first, started_at=started_at, ended_at=ended_at)
        else:
            merged.append(claim)
    return [part for claim in merged for part in _without(claim, lost)]


def _without(claim: Claim, lost: Sequence[SlotRange]) -> Iterable[Claim]:
    start, end = to_slot(claim.started_at), to_slot(claim.ended_at)
    for lost_from, lost_until in lost:
        if start < lost_from < end:
            yield replace(claim, started_at=from_slot(start), ended_at=from_slot(lost_from))
        if lost_from < end and lost_until > start:
            start = lost_until
    if start < end:
        yield replace(claim, started_at=from_slot(start))
