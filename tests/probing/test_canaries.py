from datetime import UTC, datetime, timedelta

from app.core.clock import from_slot
from app.judging.addressed_block import AddressedBlock, AddressedReading
from app.probing.canaries import Canaries
from app.probing.write_buffer import WriteBuffer
from probes.contract import Outcome, Reading

NOW = 1_800_000_000
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def beat(canaries: Canaries, second: float, *outcomes: Outcome) -> None:
    readings = [
        Reading(-n, NOW, outcome, 1, (500,) if outcome is Outcome.OK else (), 60)
        for n, outcome in enumerate(outcomes, 1)
    ]
    canaries.record(readings, NOW + second)


def timeout(second: int, key: int = 1) -> AddressedReading:
    return Reading(key, NOW + second, Outcome.TIMEOUT, 3, (), 60), SINCE


def answer(second: int, key: int = 1) -> AddressedReading:
    return Reading(key, NOW + second, Outcome.OK, 3, (100,), 60), SINCE


def take(buffer: WriteBuffer) -> list[AddressedReading]:
    taken = buffer.take()
    assert taken.blind == []
    return taken.block.items()


def put(buffer: WriteBuffer, *items: AddressedReading, ended: float) -> None:
    buffer.put(AddressedBlock.of(items), ended=ended)


def two() -> Canaries:
    return Canaries(["127.255.0.1", "127.255.0.2"])


def test_while_one_canary_answers_there_is_no_blind_range() -> None:
    canaries = two()
    for second in range(0, 20, 2):
        beat(
            canaries,
            second,
            Outcome.OK if second % 4 else Outcome.TIMEOUT,
            Outcome.TIMEOUT if second % 4 else Outcome.OK,
        )
    assert (canaries.blind_since, canaries.new_blind_ranges) == (None, [])


def test_it_is_known_which_of_them_answered_last() -> None:
    canaries = two()
    assert canaries.answering == {}
    beat(canaries, 0, Outcome.OK, Outcome.TIMEOUT)
    assert canaries.answering == {"127.255.0.1": True, "127.255.0.2": False}
    beat(canaries, 2, Outcome.TIMEOUT, Outcome.TIMEOUT)
    assert set(canaries.answering.values()) == {False}


def test_the_blind_range_is_from_the_last_answer_to_the_next() -> None:
    canaries = two()
    beat(canaries, 0, Outcome.OK, Outcome.OK)
    beat(canaries, 2.5, Outcome.TIMEOUT, Outcome.FAULT)
    beat(canaries, 4.5, Outcome.TIMEOUT, Outcome.TIMEOUT)
    assert canaries.blind_since == NOW
    beat(canaries, 6.5, Outcome.TIMEOUT, Outcome.OK)
    (found,) = canaries.new_blind_ranges
    assert (found.started_at, found.ended_at, found.reason) == (from_slot(NOW), from_slot(NOW + 7), "uplink")
    assert found.evidence == {
        "verdict": "silent",
        "canaries": [{"address": f"127.255.0.{n}", "beats": 2, "answered": 0} for n in (1, 2)],
    }
    assert canaries.blind_since is None


def test_a_beat_that_ends_late_changes_nothing() -> None:
    canaries = two()
    beat(canaries, 4, Outcome.OK, Outcome.OK)
    beat(canaries, 2, Outcome.TIMEOUT, Outcome.TIMEOUT)
    assert canaries.blind_since is None


def test_a_timeout_is_held_until_a_canary_shows_that_we_were_not_blind() -> None:
    canaries, buffer = two(), WriteBuffer(100)
    put(buffer, timeout(0), answer(0, key=2), ended=NOW + 5)
    beat(canaries, 4, Outcome.OK, Outcome.OK)
    buffer.release(canaries)
    assert [item[0].key for item in take(buffer)] == [2]
    beat(canaries, 6, Outcome.OK, Outcome.OK)
    buffer.release(canaries)
    assert [item[0].key for item in take(buffer)] == [1]


def test_without_canaries_no_timeout_is_held() -> None:
    buffer = WriteBuffer(100)
    put(buffer, timeout(0), ended=NOW + 5)
    buffer.release(Canaries([]))
    assert len(take(buffer)) == 1


def test_beyond_its_limit_the_buffer_drops_the_oldest_and_counts_them() -> None:
    buffer = WriteBuffer(3)
    put(buffer, *(answer(second) for second in range(5)), ended=NOW)
    assert (len(buffer), buffer.dropped) == (3, 2)
    taken = buffer.take()
    assert [reading.slot - NOW for reading, _ in taken.block.items()] == [2, 3, 4]
    buffer.give_back([taken[:1], taken[1:]])
    assert [item[0].slot - NOW for item in take(buffer)] == [2, 3, 4]


def test_a_timeout_still_held_at_the_end_is_our_fault() -> None:
    buffer = WriteBuffer(10)
    put(buffer, timeout(0), ended=NOW + 5)
    buffer.give_up_held()
    ((reading, _),) = take(buffer)
    assert (reading.outcome, reading.reason) == (Outcome.FAULT, "stopped")


def test_blind_ranges_are_rounded_outwards_to_whole_seconds() -> None:
    canaries = two()
    beat(canaries, 0.9, Outcome.OK, Outcome.OK)
    beat(canaries, 2.9, Outcome.TIMEOUT, Outcome.TIMEOUT)
    beat(canaries, 4.1, Outcome.OK, Outcome.OK)
    assert canaries.new_blind_ranges[0].ended_at - canaries.new_blind_ranges[0].started_at == timedelta(seconds=5)


def test_a_probe_that_began_late_is_our_fault_when_we_were_blind_by_then() -> None:
    canaries, buffer = two(), WriteBuffer(10)
    beat(canaries, 4, Outcome.OK, Outcome.OK)
    put(buffer, timeout(0), ended=NOW + 13)  # its packets left only after the uplink had died
    buffer.release(canaries)
    assert take(buffer) == []
    beat(canaries, 6, Outcome.TIMEOUT, Outcome.TIMEOUT)
    beat(canaries, 14, Outcome.OK, Outcome.OK)
    buffer.release(canaries)
    ((reading, _),) = take(buffer)
    assert (reading.outcome, reading.reason) == (Outcome.FAULT, "blind")


def test_no_blind_range_begins_after_its_end_when_the_clock_is_set_back() -> None:
    canaries = two()
    beat(canaries, 0, Outcome.OK, Outcome.OK)
    beat(canaries, 2, Outcome.TIMEOUT, Outcome.TIMEOUT)
    canaries.step_back(NOW - 600)
    beat(canaries, -598, Outcome.OK, Outcome.OK)
    (found,) = canaries.new_blind_ranges
    assert found.started_at < found.ended_at
