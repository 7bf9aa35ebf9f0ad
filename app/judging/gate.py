"""Judges a round of readings at once: of steady sites, those whose reading certainly changes no state. Pure.

`judge` and `fold` stay the one definition: what is decided here comes out as they would have it
(tests/judging/test_gate.py), and whatever is in doubt is left to them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.judging.addressed_block import AddressedBlock
from app.judging.carry import Carry, Mask, Thresholds
from app.judging.degraded import MEDIAN_OF, WINDOW_READINGS
from probes.reading_block import FAULT, IS_LOOK, OK, ReadingBlock

MICROS = 1_000_000
HOUR_S = 3600


def judge_steady(carry: Carry, block: AddressedBlock, thresholds: Thresholds) -> tuple[Mask, Carry]:
    """Return which readings leave their site up, and the carry after each of them.

    `carry`: of each reading's site, one reading a site. What is returned of the others means nothing.

    1. The reading is of our own, newer than the last one, of the present address and configuration.
    2. It comes within an interval of the evidence: no gap, so it does not matter whether we were blind.
    3. It is a fault of ours, which only lets time pass; or an answer without loss, after which the window is neither
       lossy nor slow.
    """
    readings = block.readings
    slot, limits = readings.slot * MICROS, thresholds[carry["technology"]]
    in_force = (
        IS_LOOK[readings.source]
        & (block.addressed_at == carry["address"])
        & (slot >= carry["configured_at"])
        & (slot >= limits["started_at"])
    )
    fresh = (slot > carry["seen_at"]) & (slot <= carry["evidence_at"] + carry["valid_s"].astype(np.int64) * MICROS)
    answered = (readings.outcome == OK) & (readings.received == readings.sent)
    after = _advanced(carry, readings, answered)
    well = answered & ~_is_lossy(after, limits["loss_pct"]) & ~_may_be_slow(after, limits["rtt_us"])
    return in_force & fresh & (well | (readings.outcome == FAULT)), after


def passes_hour(carry: Carry, slot: NDArray[np.int64]) -> Mask:
    """Whether a reading is the first one beyond a full hour: then `carry` is the checkpoint of that hour."""
    result: Mask = carry["seen_at"] < hour_of(slot) * MICROS
    return result


def hour_of(slot: NDArray[np.int64]) -> NDArray[np.int64]:
    return slot - slot % HOUR_S


def _advanced(carry: Carry, readings: ReadingBlock, answered: Mask) -> Carry:
    """Return the carry after these readings: answered ones, or faults."""
    after = carry.copy()
    slot, median_us = readings.slot * MICROS, medians_us(readings)
    after["seen_at"] = slot
    for name in ("evidence_at", "last_ok_at"):
        after[name] = np.where(answered, slot, carry[name])
    after["valid_s"] = np.where(answered, readings.valid_s, carry["valid_s"])
    after["rtt_us"] = np.where(answered, median_us, carry["rtt_us"])
    after["loss_pct"] = np.where(answered, np.where(readings.sent > 0, 0, np.nan), carry["loss_pct"])
    after["length"] = np.where(answered, np.minimum(carry["length"] + 1, WINDOW_READINGS), carry["length"])
    window = after["window"]
    window[answered, :-1] = carry["window"][answered, 1:]
    last: Any = window[:, -1]
    for name, column in (
        ("slot", readings.slot),
        ("sent", readings.sent),
        ("received", readings.received),
        ("rtt_us", median_us),
    ):
        last[name] = np.where(answered, column, last[name])
    return after


def medians_us(readings: ReadingBlock) -> NDArray[np.int32]:
    """Return `fold.median_us` of each reading."""
    width = readings.rtt_us.shape[1]
    if not width:
        return np.zeros(len(readings), np.int32)
    ordered = np.sort(readings.rtt_us, axis=1)  # what was not answered is 0, and stands before the rest
    received = readings.received.astype(np.int64)
    middle = np.minimum(width - received + received // 2, width - 1)
    median: NDArray[np.int32] = np.where(received > 0, ordered[np.arange(len(readings)), middle], 0).astype(np.int32)
    return median


def _is_lossy(carry: Carry, loss_pct: NDArray[np.float64]) -> Mask:
    sent = carry["window"]["sent"].sum(axis=1, dtype=np.int64)
    lost = sent - carry["window"]["received"].sum(axis=1, dtype=np.int64)
    lossy: Mask = (carry["length"] == WINDOW_READINGS) & (lost > 0) & (100 * lost >= loss_pct * sent)
    return lossy


def _may_be_slow(carry: Carry, rtt_us: NDArray[np.float64]) -> Mask:
    """Whether the median of the last answered readings is too long; where some of the last ones lack an answer,
    whether any is.
    """
    window = carry["window"]
    last, limit = window[:, -MEDIAN_OF:], rtt_us
    all_answered = (last["received"] > 0).all(axis=1)
    median = np.sort(last["rtt_us"], axis=1)[:, MEDIAN_OF // 2]
    slow: Mask = np.where(all_answered, median > limit, (window["rtt_us"] > limit[:, None]).any(axis=1))
    return slow
