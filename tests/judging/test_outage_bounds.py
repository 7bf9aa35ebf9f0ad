"""The bounds of an outage hold the truth between them, whichever packets of a look it took."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import to_slot
from app.judging import segments
from app.judging.dated_profiles import DatedThresholds
from app.judging.degraded import DegradedThresholds
from app.judging.fold import JudgeConfiguration, JudgeContext, fold
from app.judging.judge import JudgeState
from app.judging.segments import Segment
from app.profiles import Technology
from app.registry.models import State, UnknownReason
from probes.contract import AGENT, CENTRAL, Outcome, Reading

START = datetime(2026, 11, 24, tzinfo=UTC)
NEVER_DEGRADED = DatedThresholds({Technology.FIBER: [(START, DegradedThresholds(loss_pct=101, rtt_us=10**9))]})
CONTEXT = JudgeContext([JudgeConfiguration(START, START, Technology.FIBER, None)], NEVER_DEGRADED, {}, {})
FIRST_PACKET_S = 0.5  # of a look, after its slot


def look(second: int, packets: int, out: tuple[float, float], source: str = CENTRAL) -> Reading:
    """Packets leave a second apart; those that leave while the site is out are lost."""
    sent_at = [second + FIRST_PACKET_S + n for n in range(packets)]
    answered = [20_000 for at in sent_at if not out[0] <= at < out[1]]
    outcome = Outcome.OK if answered else Outcome.TIMEOUT
    return Reading(1, to_slot(START) + second, outcome, packets, tuple(answered), 60, None, source)


def outages(readings: Sequence[Reading]) -> list[Segment]:
    state = JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, START, 60, START)
    ledger = segments.apply_changes([], fold(state, readings, CONTEXT).changes)
    return [segment for segment in ledger if segment.state is State.DOWN]


def seconds(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - START) / timedelta(seconds=1)


@given(
    begin_s=st.integers(61, 140),
    lasted_s=st.integers(130, 200),
    gaps_s=st.lists(st.sampled_from([10, 11, 13, 30, 60]), min_size=40, max_size=40),
    packets=st.lists(st.sampled_from([3, 5]), min_size=41, max_size=41),
)
def test_an_outage_is_no_shorter_than_its_least_and_no_longer_than_its_longest_duration(
    begin_s: int, lasted_s: int, gaps_s: list[int], packets: list[int]
) -> None:
    out = (begin_s, begin_s + lasted_s)
    at = [sum(gaps_s[:n]) for n in range(41)]
    (outage,) = outages([look(second, count, out) for second, count in zip(at, packets, strict=True)])
    shortest = seconds(outage.last_loss_at) - seconds(outage.started_at)
    longest = seconds(outage.first_ok_after) - seconds(outage.last_ok_at)
    assert shortest <= lasted_s <= longest
    assert seconds(outage.last_ok_at) <= begin_s
    assert out[1] <= seconds(outage.first_ok_after) + FIRST_PACKET_S


def test_an_answer_to_the_last_of_five_packets_dates_the_recovery_to_it_at_the_latest() -> None:
    (outage,) = outages([look(second, 5, (50, 84)) for second in (0, 60, 70, 80, 90)])
    assert (seconds(outage.ended_at), seconds(outage.first_ok_after)) == (80, 84)


def test_a_device_says_nothing_of_single_packets() -> None:
    (outage,) = outages([look(second, 5, (50, 84), AGENT) for second in (0, 60, 70, 80, 90)])
    assert (seconds(outage.ended_at), seconds(outage.first_ok_after)) == (80, 80)
