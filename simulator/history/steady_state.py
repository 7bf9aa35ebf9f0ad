"""What judgement carries after a stretch in which nothing changes, without judging every reading of it. Pure.

Each of the two comes to exactly what folding all the stretch's readings would: `tests/simulator/test_history.py`
compares them.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.core.clock import from_slot
from app.judging.degraded import WINDOW_READINGS, DegradedThresholds, WindowReading
from app.judging.judge import BAD, JudgeState
from app.registry.models import State
from probes.contract import Reading


def is_calm(carry: JudgeState, limits: DegradedThresholds) -> bool:
    """Whether healthy answers will change nothing: it is up, and nothing in its window is at fault."""
    return (
        carry.state is State.UP
        and carry.pending_at is None
        and all(one.received == one.sent and one.rtt_us <= limits.rtt_us for one in carry.window)
    )


def calm(carry: JudgeState, last: Sequence[Reading]) -> JudgeState:
    """After healthy answers at every interval, of a site that `is_calm`; `last` are the last POOLED of them (or all).

    Healthy: within the limits, but for single packets lost so far apart that no window of POOLED holds two.
    """
    seen_at = from_slot(last[-1].slot)
    pooled = (WindowReading(one.slot, one.sent, len(one.rtt_us), _median(one.rtt_us)) for one in last)
    return replace(
        carry,
        evidence_at=seen_at,
        seen_at=seen_at,
        last_ok_at=seen_at,
        valid_s=last[-1].valid_s,
        window=(*carry.window, *pooled)[-WINDOW_READINGS:],
    )


def lost(carry: JudgeState, last_slot: int, valid_s: int) -> JudgeState:
    """After losses at every interval or more often, of a site that is out already; its parent is as it was."""
    assert carry.state in BAD
    seen_at = from_slot(last_slot)
    return replace(carry, evidence_at=seen_at, seen_at=seen_at, valid_s=valid_s)


def _median(rtt_us: Sequence[int]) -> int:
    return sorted(rtt_us)[len(rtt_us) // 2]
