"""The judge against an oracle that shares no code with it: it paints second by second what single readings prove."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.judging.degraded import DegradedThresholds
from app.judging.judge import JudgeState, Observation, judge
from app.registry.models import State, UnknownReason
from probes.contract import Outcome

START = datetime(2026, 11, 24, tzinfo=UTC)
NEVER_DEGRADED = DegradedThresholds(loss_pct=101, rtt_us=10**9)
INTERVAL, HOLD = 60, 150

Readings = Sequence[tuple[int, bool]]  # second, answered

steps = st.integers(1, 200) | st.sampled_from([10, 60, 150, 151])
reading_lists = st.lists(st.tuples(steps, st.booleans()), max_size=25)


@given(reading_lists)
def test_every_second_is_judged_as_the_readings_around_it_prove(gaps: list[tuple[int, bool]]) -> None:
    seconds = accumulate((gap for gap, _ in gaps), initial=0)
    readings = list(zip(seconds, [True, *(answered for _, answered in gaps)], strict=True))
    assert judged(readings) == proven(readings)


def judged(readings: Readings) -> list[str]:
    """The state of each second up to the last reading, as the judge says."""
    last = readings[-1][0]
    state = JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, START, INTERVAL, START)
    painted = ["unknown"] * last
    for second, answered in readings:
        outcome = Outcome.OK if answered else Outcome.TIMEOUT
        slot = START + timedelta(seconds=second)
        state, changes = judge(state, Observation(slot, outcome, INTERVAL, 3, 3 * answered, 1000, NEVER_DEGRADED))
        for change in changes:
            at = round((change.at - START).total_seconds())
            painted[at:] = [change.state.value] * len(painted[at:])
    return painted


def proven(readings: Readings) -> list[str]:
    """Two losses in a row prove `down` from the first, if the second comes while that is fresh; an answer proves `up`.

    What is proven lasts until the next reading that proves something, or for an interval if that comes too late.
    """
    losses = {
        second
        for (first, ok), (second, also_ok) in pairwise(readings)
        if not ok and not also_ok and second - first <= HOLD
        for second in (first, second)
    }
    proofs = [(second, answered) for second, answered in readings if answered or second in losses]
    painted = ["unknown"] * readings[-1][0]
    for index, (second, answered) in enumerate(proofs):
        following = proofs[index + 1 :]
        if not following:
            until = readings[-1][0] if readings[-1][0] - second <= HOLD else second + INTERVAL
        else:
            until = following[0][0]
            confirmed = until if following[0][1] or not answered else following[1][0]
            if confirmed - second > HOLD:
                until = min(until, second + INTERVAL)
        painted[second:until] = ["up" if answered else "down"] * len(painted[second:until])
    return painted
