import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.judging.degraded import DegradedThresholds
from app.judging.judge import JudgeState, Observation, StateChange, judge, readdress
from app.registry.models import State, UnknownReason
from probes.contract import Outcome

START = datetime(2026, 11, 24, tzinfo=UTC)
OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT
THRESHOLDS = DegradedThresholds(loss_pct=15, rtt_us=150_000)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def never_seen(at: datetime, valid_s: int) -> JudgeState:
    """The judge state of a site that has never answered."""
    return JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, at, valid_s, addressed_at=at)


def observation(
    second: int, outcome: Outcome, interval: int = 60, *, lost: int = 0, rtt_us: int = 20_000, behind: bool = False
) -> Observation:
    sent = 0 if outcome is FAULT else 3
    received = sent - lost if outcome is OK else 0
    return Observation(at(second), outcome, interval, sent, received, rtt_us if received else 0, THRESHOLDS, behind)


def judge_outcomes(
    *outcomes: tuple[int, Outcome], interval: int = 60, state: JudgeState | None = None
) -> tuple[JudgeState, list[StateChange]]:
    state = state or never_seen(START, interval)
    changes: list[StateChange] = []
    for second, outcome in outcomes:
        state, found = judge(state, observation(second, outcome, interval))
        changes += found
    return state, changes


def states(changes: list[StateChange]) -> list[tuple[int, State]]:
    return [(round((change.at - START).total_seconds()), change.state) for change in changes]


def test_a_site_that_answers_is_up_from_its_first_answer() -> None:
    state, changes = judge_outcomes((7, OK), (67, OK))
    assert states(changes) == [(7, State.UP)]
    assert state.commissioned_at == at(7)


def test_a_site_that_never_answered_is_unknown_and_not_down() -> None:
    state, changes = judge_outcomes(*((second, TIMEOUT) for second in range(0, 600, 60)))
    assert changes == []
    assert (state.state, state.unknown_reason) == (State.UNKNOWN, UnknownReason.NEVER_SEEN)


def test_one_lost_reading_is_no_outage() -> None:
    state, changes = judge_outcomes((0, OK), (60, TIMEOUT), (70, OK))
    assert states(changes) == [(0, State.UP)]
    assert state.timeouts == 0


def test_an_outage_begins_at_the_first_lost_slot_and_ends_with_the_first_answer() -> None:
    _, changes = judge_outcomes((0, OK), (60, TIMEOUT), (70, TIMEOUT), (80, TIMEOUT), (90, OK))
    assert states(changes) == [(0, State.UP), (60, State.DOWN), (90, State.UP)]
    assert changes[1].last_ok_at == at(0)


def test_our_own_faults_are_not_their_outage() -> None:
    state, changes = judge_outcomes((0, OK), *((second, FAULT) for second in range(10, 150, 10)), (150, OK))
    assert states(changes) == [(0, State.UP)]
    assert state.state is State.UP


def test_a_fault_between_two_losses_neither_confirms_nor_forgives() -> None:
    _, changes = judge_outcomes((0, OK), (60, TIMEOUT), (70, FAULT), (80, TIMEOUT))
    assert states(changes) == [(0, State.UP), (60, State.DOWN)]


def test_a_stop_of_any_length_leaves_unknown_from_one_interval_after_the_last_evidence() -> None:
    _, changes = judge_outcomes((0, OK), (60, OK), (100_000, OK))
    assert states(changes) == [(0, State.UP), (120, State.UNKNOWN), (100_000, State.UP)]


def test_over_a_gap_of_our_own_making_a_state_holds_for_one_interval_only() -> None:
    state, _ = judge_outcomes((0, OK))
    for reason, expected in (
        (UnknownReason.SILENT, []),
        (UnknownReason.STOPPED, [(60, State.UNKNOWN), (100, State.UP)]),
    ):
        _, changes = judge(state, observation(100, OK), gap_reason=reason)
        assert states(changes) == expected


def test_an_outage_is_not_believed_to_last_through_a_stop_either() -> None:
    _, changes = judge_outcomes((0, OK), (60, TIMEOUT), (70, TIMEOUT), (5000, TIMEOUT), (5010, TIMEOUT))
    assert states(changes) == [(0, State.UP), (60, State.DOWN), (130, State.UNKNOWN), (5000, State.DOWN)]


def test_a_lost_reading_before_a_stop_and_one_after_it_do_not_make_an_outage() -> None:
    _, changes = judge_outcomes((0, OK), (60, TIMEOUT), (9000, TIMEOUT), (20_000, TIMEOUT), (20_010, OK))
    assert states(changes) == [(0, State.UP), (60, State.UNKNOWN), (20_010, State.UP)]


def test_a_loss_that_is_still_fresh_outlives_the_state_before_it() -> None:
    _, changes = judge_outcomes((0, OK), (120, TIMEOUT), (180, TIMEOUT), (240, OK))
    assert states(changes) == [(0, State.UP), (60, State.UNKNOWN), (120, State.DOWN), (240, State.UP)]


def test_a_loss_before_the_state_lapsed_begins_the_outage_that_a_later_one_confirms() -> None:
    _, changes = judge_outcomes((0, OK), (30, TIMEOUT), (160, FAULT), (170, TIMEOUT), (240, OK))
    assert states(changes) == [(0, State.UP), (30, State.DOWN), (240, State.UP)]
    _, changes = judge_outcomes((0, OK), (30, TIMEOUT), (160, FAULT), (200, FAULT), (210, TIMEOUT), (240, OK))
    assert states(changes) == [(0, State.UP), (60, State.UNKNOWN), (240, State.UP)], "too long after the first"
    _, changes = judge_outcomes((0, OK), (30, TIMEOUT), (170, OK))
    assert states(changes) == [(0, State.UP), (60, State.UNKNOWN), (170, State.UP)]


def test_a_loss_is_as_old_as_its_own_interval_allows_not_that_of_the_answer_long_before() -> None:
    _, changes = judge_all(observation(0, OK), *(observation(second, TIMEOUT, 300) for second in (300, 600)))
    assert changes == [(0, State.UP), (60, State.UNKNOWN), (300, State.DOWN)]


def test_over_a_gap_of_our_own_making_a_loss_waits_for_one_interval_only() -> None:
    for second, expected in (
        (110, [(50, State.DOWN)]),
        (120, [(60, State.UNKNOWN)]),
    ):
        state, _ = judge_outcomes((0, OK), (50, TIMEOUT))
        _, changes = judge(state, observation(second, TIMEOUT), gap_reason=UnknownReason.STOPPED)
        assert states(changes) == expected


def test_a_reading_that_comes_twice_or_late_changes_nothing() -> None:
    state, _ = judge_outcomes((0, OK), (60, OK))
    again, changes = judge_outcomes((60, TIMEOUT), (30, TIMEOUT), (60, TIMEOUT), state=state)
    assert again == state
    assert changes == []


def test_at_a_new_address_a_site_is_never_seen_until_it_answers() -> None:
    state, _ = judge_outcomes((0, OK), (60, OK))
    state, changes = readdress(state, at(90))
    assert states(changes) == [(90, State.UNKNOWN)]
    state, changes = judge_outcomes((100, TIMEOUT), (110, TIMEOUT), (120, TIMEOUT), state=state)
    assert changes == []
    assert state.unknown_reason is UnknownReason.NEVER_SEEN
    assert state.commissioned_at == at(0)


def judge_all(
    *observations: Observation, state: JudgeState | None = None
) -> tuple[JudgeState, list[tuple[int, State]]]:
    state = state or never_seen(START, 60)
    changes: list[StateChange] = []
    for observed in observations:
        state, found = judge(state, observed)
        changes += found
    return state, states(changes)


def test_a_slow_spell_is_degraded_from_its_first_slow_reading_to_its_last() -> None:
    slow = [observation(second, OK, rtt_us=400_000) for second in range(180, 480, 60)]
    _, changes = judge_all(
        *(observation(second, OK) for second in (0, 60, 120)), *slow, observation(480, OK), observation(540, OK)
    )
    assert changes == [(0, State.UP), (180, State.DEGRADED), (480, State.UP)]


def test_one_slow_reading_is_nothing() -> None:
    _, changes = judge_all(
        observation(0, OK),
        observation(60, OK),
        observation(120, OK, rtt_us=900_000),
        observation(180, OK),
        observation(240, OK),
    )
    assert changes == [(0, State.UP)]


def test_loss_is_pooled_over_ten_readings_and_begins_with_the_first_that_lost() -> None:
    clean = [observation(second, OK) for second in range(0, 600, 60)]
    lossy = [observation(second, OK, lost=1) for second in range(600, 900, 60)]
    state, changes = judge_all(*clean, *lossy[:4])
    assert changes == [(0, State.UP)], "4 of 30 packets: below 15%"
    state, changes = judge_all(lossy[4], state=state)
    assert changes == [(600, State.DEGRADED)]
    state, changes = judge_all(*(observation(second, OK) for second in range(900, 1320, 60)), state=state)
    assert changes == [], "3 of 30 are still more than half of the limit"
    state, changes = judge_all(observation(1320, OK), state=state)
    assert changes == [(900, State.UP)], "sound from the first clean reading on"


def test_losses_of_an_outage_do_not_make_what_follows_degraded() -> None:
    outage = [observation(second, TIMEOUT) for second in (60, 70, 80, 90)]
    _, changes = judge_all(observation(0, OK), *outage, *(observation(second, OK) for second in range(100, 900, 60)))
    assert changes == [(0, State.UP), (60, State.DOWN), (100, State.UP)]


def test_behind_a_parent_that_is_out_a_loss_is_unreachable_and_an_answer_is_up() -> None:
    behind = [observation(second, TIMEOUT, behind=True) for second in (60, 70, 80)]
    _, changes = judge_all(observation(0, OK), *behind, observation(90, TIMEOUT), observation(100, OK))
    assert changes == [(0, State.UP), (60, State.UNREACHABLE), (90, State.DOWN), (100, State.UP)]
    _, changes = judge_all(observation(0, OK), observation(60, TIMEOUT), observation(70, TIMEOUT, behind=True))
    assert changes == [(0, State.UP), (60, State.DOWN), (70, State.UNREACHABLE)]


def test_the_reason_for_a_gap_is_kept() -> None:
    state, _ = judge_outcomes((0, OK))
    _, changes = judge(state, observation(9000, OK), gap_reason=UnknownReason.STOPPED)
    assert [change.unknown_reason for change in changes] == [UnknownReason.STOPPED, None]


observation_lists = st.lists(
    st.builds(
        observation,
        st.integers(1, 400),
        st.sampled_from(list(Outcome)),
        lost=st.sampled_from([0, 0, 1, 2]),
        rtt_us=st.sampled_from([20_000, 20_000, 400_000]),
        behind=st.booleans(),
    ),
    max_size=60,
)


def one_after_the_other(steps: list[Observation]) -> list[Observation]:
    """Each observation that many seconds after the one before."""
    moments = itertools.accumulate(step.slot - START for step in steps)
    return [replace(step, slot=START + moment) for step, moment in zip(steps, moments, strict=True)]


@given(observation_lists)
def test_changes_come_in_order_and_each_is_a_change(steps: list[Observation]) -> None:
    state, changes = never_seen(START, 60), []
    for observed in one_after_the_other(steps):
        state, found = judge(state, observed)
        changes += found
    moments = [change.at for change in changes]
    assert moments == sorted(set(moments))
    sequence = [(State.UNKNOWN, UnknownReason.NEVER_SEEN), *((c.state, c.unknown_reason) for c in changes)]
    assert all(before != after for before, after in itertools.pairwise(sequence))
    assert sequence[-1] == (state.state, state.unknown_reason)


@given(observation_lists)
def test_no_second_is_bad_without_two_lost_readings_in_a_row(steps: list[Observation]) -> None:
    evidence = [step.outcome for step in steps if step.outcome is not FAULT]
    _, changes = judge_all(*one_after_the_other(steps))
    if all(pair != (TIMEOUT, TIMEOUT) for pair in itertools.pairwise(evidence)):
        assert not {State.DOWN, State.UNREACHABLE} & {state for _, state in changes}
