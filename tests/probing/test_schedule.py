import itertools
from collections import Counter
from datetime import UTC, datetime

from app.core.clock import from_slot
from app.judging.ingest import JudgedSite
from app.probing.probe_plan import ProbePlan
from app.probing.schedule import Schedule
from app.registry.models import State
from probes.contract import ProbeKind, Target

NOW = 1_800_000_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def plan(key: int, interval_s: int = 60) -> ProbePlan:
    return ProbePlan(Target(key, 0, ProbeKind.ICMP, "127.1.1.1", valid_s=interval_s), interval_s, BEGIN)


def judged(key: int, state: State, *, seen: int, since: int | None = None, pending: bool = False) -> JudgedSite:
    return JudgedSite(key, state, from_slot(since or seen), from_slot(seen), from_slot(seen) if pending else None)


def run(schedule: Schedule, first: int, last: int) -> list[tuple[int, int, int]]:
    """Return (slot, site, packets) of every probe, second by second."""
    return [probe for now in range(first, last) for probe in take(schedule, now)]


def take(schedule: Schedule, now: int) -> list[tuple[int, int, int]]:
    targets = schedule.take(now).targets
    return list(zip(targets.slot.tolist(), targets.key.tolist(), targets.pings.count.tolist(), strict=True))


def test_every_site_is_probed_once_an_interval_in_the_same_second() -> None:
    schedule = Schedule()
    for key in range(1, 101):
        schedule.put(plan(key), now=NOW)
    probes = run(schedule, NOW, NOW + 601)
    assert all(count == 10 for count in Counter(key for _, key, _ in probes).values())
    assert all(len({slot % 60 for slot, k, _ in probes if k == key}) == 1 for key in range(1, 101))


def test_phases_are_spread_evenly() -> None:
    schedule = Schedule()
    for key in range(1, 1039):
        schedule.put(plan(key), now=NOW)
    a_second = Counter(slot for slot, _, _ in run(schedule, NOW, NOW + 61))
    assert 16 <= min(a_second[NOW + s] for s in range(1, 61)) <= max(a_second.values()) <= 19


def test_a_late_tick_serves_every_slot_that_fell_due_and_keeps_its_slot() -> None:
    schedule = Schedule()
    for key in range(1, 601):
        schedule.put(plan(key), now=NOW)
    slots = {slot for slot, _, _ in take(schedule, NOW + 5)}
    assert slots == {NOW + 1, NOW + 2, NOW + 3, NOW + 4, NOW + 5}


def test_a_slot_that_is_long_gone_is_missed_and_not_probed_later() -> None:
    schedule = Schedule()
    for key in range(1, 61):
        schedule.put(plan(key), now=NOW)
    assert all(slot >= NOW + 595 for slot, _, _ in take(schedule, NOW + 600))
    assert schedule.missed > 0
    assert len(run(schedule, NOW + 601, NOW + 661)) == 60


def test_what_fell_due_between_two_workers_is_probed_by_the_second_at_once_and_then_at_its_time() -> None:
    first, second = Schedule(), Schedule()
    for key in range(1, 601):
        first.put(plan(key), now=NOW)
    read = {key for _, key, _ in run(first, NOW, NOW + 51)}
    assert first.first_due == NOW + 51
    for key in range(1, 601):
        second.put(plan(key), now=NOW + 58)
    second.catch_up(first.first_due - 1, NOW + 58)
    at_once = [key for _, key, _ in take(second, NOW + 59)]
    regular = {key for _, key, _ in run(second, NOW + 60, NOW + 61)}
    assert len(at_once) == len(set(at_once))
    assert read | set(at_once) | regular == set(range(1, 601)), "none is left out"
    assert len(run(second, NOW + 61, NOW + 121)) == 600


def test_a_first_loss_is_confirmed_ten_seconds_later_with_five_packets() -> None:
    schedule = Schedule()
    schedule.put(plan(1), now=NOW)
    ((slot, _, _),) = run(schedule, NOW, NOW + 60)
    schedule.follow([judged(1, State.UP, seen=slot, pending=True)], now=slot + 5)
    assert run(schedule, slot + 5, slot + 12) == [(slot + 10, 1, 5)]


def test_a_long_outage_is_probed_less_often() -> None:
    for lasted, every in ((100, 10), (700, 30), (4000, 60)):
        schedule = Schedule()
        schedule.put(plan(1), now=NOW)
        ((slot, _, _),) = run(schedule, NOW, NOW + 60)
        schedule.follow([judged(1, State.DOWN, seen=slot, since=slot - lasted)], now=slot + 5)
        assert run(schedule, slot + 5, slot + 70)[0][0] == slot + every


def test_the_parent_of_a_site_is_probed_when_the_site_misses_a_push() -> None:
    schedule = Schedule()
    schedule.put(plan(1), now=NOW)
    ((slot, _, _),) = run(schedule, NOW, NOW + 60)
    child = JudgedSite(7, State.UP, from_slot(NOW), from_slot(slot + 2), from_slot(slot + 2), parent_id=1)
    schedule.follow([child], now=slot + 26)
    assert run(schedule, slot + 26, slot + 30) == [(slot + 27, 1, 5)]


def test_probes_of_one_site_never_overlap() -> None:
    schedule = Schedule()
    schedule.put(plan(1), now=NOW)
    ((slot, _, _),) = run(schedule, NOW, NOW + 60)
    schedule.follow([judged(1, State.UP, seen=slot - 2, pending=True)], now=slot + 1)
    probes = [s for s, _, _ in run(schedule, slot + 1, slot + 200)]
    assert all(later - earlier > 6 for earlier, later in itertools.pairwise(probes))


def test_confirmations_of_many_sites_are_spread_over_seconds() -> None:
    schedule = Schedule()
    for key in range(1, 1001):
        schedule.put(plan(key), now=NOW)
    schedule.follow([judged(key, State.UP, seen=NOW, pending=True) for key in range(1, 1001)], now=NOW)
    confirming = Counter(slot for slot, _, packets in run(schedule, NOW, NOW + 60) if packets == 5)
    assert max(confirming.values()) <= 100


def test_a_new_site_is_probed_at_once_and_a_removed_one_no_more() -> None:
    schedule = Schedule()
    schedule.put(plan(1), now=NOW, at_once=True)
    assert run(schedule, NOW, NOW + 2) == [(NOW + 1, 1, 3)]
    schedule.remove(1)
    assert run(schedule, NOW + 2, NOW + 200) == []


def test_a_site_at_a_five_second_interval_is_probed_every_five_seconds() -> None:
    schedule = Schedule()
    schedule.put(plan(1, interval_s=5), now=NOW)
    assert len(run(schedule, NOW, NOW + 50)) == 10
