"""A prober that dies at any moment leaves no gap that counts: another one looks before the last evidence ends."""

from datetime import UTC, datetime

import pytest

from app.probing.probe_plan import ProbePlan
from app.probing.schedule import Schedule
from app.vantages.live_probers import LEASE_S
from app.worker.prober_assignment import EVERY_S
from probes.contract import ProbeKind, Target

BEGIN, HOLDS = 1_800_000_000, 2.5  # intervals that a state holds after its last evidence (`core/freshness`)
BEAT_S = 10  # with the answer to which the other one learns of it


@pytest.mark.parametrize(("others", "interval_s"), [(1, 30), (1, 60), (0, 60), (0, 300)])
def test_the_time_between_two_looks_is_never_as_long_as_a_state_holds(others: int, interval_s: int) -> None:
    """`others`: without another one that is heard, silence is doubted for as long again."""
    plan = ProbePlan(Target(7, 0, ProbeKind.ICMP, "127.1.1.1"), interval_s, datetime(2026, 1, 1, tzinfo=UTC))
    dying, last = Schedule(), 0
    dying.put(plan, now=BEGIN - 2 * interval_s)
    for death in range(BEGIN - 2 * interval_s, BEGIN + interval_s):
        last = dying.take(death).targets.slot.max(initial=last)
        if death < BEGIN:
            continue
        taking_over = Schedule()
        silent_s = int(LEASE_S) * (1 if others else 2)
        taking_over.put(plan, now=death + silent_s + EVERY_S + BEAT_S, at_once=True)
        (first,) = taking_over.take(death + silent_s + EVERY_S + BEAT_S + 1).targets.slot.tolist()
        assert first - last < HOLDS * interval_s
