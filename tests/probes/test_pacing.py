import pytest

from probes.pacing import COLLECT_NS, DelayQueues, Pace

MS = 1_000_000


def test_a_pace_lets_through_its_rate_however_often_it_is_called() -> None:
    for step in (MS // 10, MS, 5 * MS):
        pace = Pace(20_000, burst_packets=128)
        sent = sum(pace.take(now, 1_000) for now in range(1_000 * MS, 2_000 * MS, step))
        assert 20_000 <= sent <= 20_200  # the first burst is on credit


def test_a_long_pause_allows_no_flood() -> None:
    pace = Pace(10_000, burst_packets=128)
    pace.take(0, 1)
    assert pace.take(60_000 * MS, 100_000) <= 101


def test_a_slow_pace_lets_one_packet_through_at_a_time() -> None:
    pace = Pace(2, burst_packets=128)
    assert [pace.take(now * MS, 9) for now in (0, 100, 499, 500, 600, 1_000)] == [1, 0, 0, 1, 0, 1]


def test_without_a_rate_every_call_allows_a_bounded_burst() -> None:
    pace = Pace(0, burst_packets=128)
    assert [pace.take(0, 1_000_000), pace.take(0, 5)] == [128, 5]
    assert pace.due_for(1_000_000) == 0


def test_packets_wait_for_others_to_leave_together_but_not_for_long() -> None:
    pace = Pace(20_000, burst_packets=128)
    pace.take(10 * MS, 1)
    free_at = pace.due_for(1)
    assert pace.due_for(41) - free_at == 2 * MS
    assert pace.due_for(1_000_000) - free_at == COLLECT_NS


def test_a_full_burst_need_not_wait_for_more() -> None:
    pace = Pace(100_000, burst_packets=128)
    assert pace.due_for(1_000_000) == 127 * MS // 100


@pytest.mark.parametrize("rate", [-1, float("nan")])
def test_a_senseless_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="packets_per_second"):
        Pace(rate, burst_packets=128)


def test_queues_give_back_what_fell_due_whatever_its_delay() -> None:
    queues: DelayQueues[str] = DelayQueues(lambda item: item != "gone")
    queues.queue(10).extend([(10, "gone"), (12, "early")])
    queues.queue(5).append((30, "late"))
    assert queues.next_due() == 12
    assert list(queues.take_due(20)) == ["early"]
    assert queues.next_due() == 30
    assert list(queues.take_due(30)) == ["late"]
    assert queues.next_due() is None


def test_what_falls_due_closely_is_taken_together() -> None:
    queues: DelayQueues[str] = DelayQueues(lambda _: True, slack_ns=25 * MS)
    queues.queue(1_000 * MS).extend([(1_000 * MS, "one"), (1_010 * MS, "two"), (1_900 * MS, "much later")])
    queues.queue(40 * MS).append((1_000 * MS, "of a short delay"))
    assert list(queues.take_due(970 * MS)) == []
    assert queues.next_due() == 1_001 * MS  # a fortieth of the short delay
    assert list(queues.take_due(990 * MS)) == ["one", "two"]
    assert list(queues.take_due(999 * MS)) == ["of a short delay"]
    assert queues.next_due() == 1_925 * MS
