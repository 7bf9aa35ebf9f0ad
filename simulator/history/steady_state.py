"""The judge state after a stretch in which nothing changes, without judging each of its readings. Pure.

Each function returns exactly what folding all the readings would: `tests/simulator/test_history.py` compares them.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.core.clock import from_slot
from app.judging.degraded import WINDOW_READINGS, DegradedThresholds, WindowReading
from app.judging.judge import BAD, JudgeState
from app.registry.models import State
from probes.contract import Reading


def is_steady(state: JudgeState, thresholds: DegradedThresholds) -> bool:
    """Return whether healthy readings would change nothing: the site is up, and its window holds no bad reading."""
    return (
        state.state is State.UP
        and state.pending_at is None
        and all(reading.received == reading.sent and reading.rtt_us <= thresholds.rtt_us for reading in state.window)
    )


def after_healthy(state: JudgeState, last: Sequence[Reading]) -> JudgeState:
    """Return the state after healthy readings at every interval, of a site that `is_steady`.

    `last` are the last WINDOW_READINGS of them, or all. Healthy: within the thresholds, but for single packets lost so
    far apart that no window holds two.
    """
    seen_at = from_slot(last[-1].slot)
    window = (
        WindowReading(reading.slot, reading.sent, len(reading.rtt_us), _median(reading.rtt_us)) for reading in last
    )
    return replace(
        state,
        evidence_at=seen_at,
        seen_at=seen_at,
        last_ok_at=seen_at,
        valid_s=last[-1].valid_s,
        window=(*state.window, *window)[-WINDOW_READINGS:],
    )


def after_losses(state: JudgeState, last_slot: int, valid_s: int) -> JudgeState:
    """Return the state after losses at every interval or more often, of a site already out, its parent unchanged."""
    assert state.state in BAD
    seen_at = from_slot(last_slot)
    return replace(state, evidence_at=seen_at, seen_at=seen_at, valid_s=valid_s)


def _median(rtt_us: Sequence[int]) -> int:
    return sorted(rtt_us)[len(rtt_us) // 2]
