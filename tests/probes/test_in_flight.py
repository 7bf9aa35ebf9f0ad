from socket import AF_INET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from probes.in_flight import FlightTable, Tokens, round_trips_ns
from probes.sockaddr import prepare_addresses

MS = 1_000_000
HOME, AWAY = prepare_addresses(["127.0.0.1"]), prepare_addresses(["127.0.0.2"])


def launch(table: FlightTable, count: int, *, sweep: int = 1) -> Tokens:
    tokens = table.next_tokens(count)
    cells = np.arange(count)
    table.add(tokens, HOME.repeat(count), sweep=sweep, cell=cells, wall=cells, mono=cells, timeout=1)
    return tokens


@given(st.lists(st.tuples(st.integers(1, 512), st.sampled_from(["answer", "expire", "keep"])), max_size=40))
def test_every_packet_in_flight_is_found_however_many_there_are_and_no_other(steps: list[tuple[int, str]]) -> None:
    table = FlightTable(AF_INET)
    kept: list[Tokens] = []
    for count, fate in steps:
        tokens = launch(table, count)
        slots = table.find(tokens)
        assert len(set(slots.tolist())) == count
        assert table["cell"][slots].tolist() == list(range(count))
        if fate == "answer":
            table.answer(slots)
            assert table.past(tokens) == (count, 0, 0)
        elif fate == "expire":
            assert table.drop(tokens) == count
            assert table.past(tokens) == (0, count, 0)
        else:
            kept.append(tokens)
            continue
        assert not table.any_live(tokens)
    assert table.count == sum(map(len, kept))
    assert all((table.find(tokens) >= 0).all() for tokens in kept)


def test_one_that_stays_long_does_not_make_the_table_grow() -> None:
    table = FlightTable(AF_INET)
    patient = launch(table, 1)
    size = len(table["live"])
    for _ in range(3 * size // 512):
        table.drop(launch(table, 512))
    assert len(table["live"]) == size
    assert table.any_live(patient)


def test_a_token_never_sent_was_neither_answered_nor_timed_out() -> None:
    table = FlightTable(AF_INET)
    [last] = launch(table, 1)
    assert table.past(np.array([last + np.uint32(9)], np.uint32)) == (0, 0, 1)


def test_of_equal_slots_the_first_counts() -> None:
    table = FlightTable(AF_INET)
    assert table.first_of_each(np.array([7, 3, 7, 7, 3, 9])).tolist() == [True, True, False, False, False, True]


def test_an_answer_must_come_from_the_address_that_was_pinged() -> None:
    table = FlightTable(AF_INET)
    slots = table.find(launch(table, 2))
    assert table.from_host(slots, np.concatenate([HOME, AWAY])).tolist() == [True, False]


def test_a_cancelled_sweep_takes_its_own_packets_alone() -> None:
    table = FlightTable(AF_INET)
    doomed, other = launch(table, 3, sweep=1), launch(table, 4, sweep=2)
    table.drop_sweep(1)
    assert not table.any_live(doomed)
    assert (table.find(other) >= 0).all()
    assert table.count == 4


def round_trip_ns(sent: tuple[int, int], received: int, now: tuple[int, int]) -> int:
    [wall], [mono], [stamp] = (np.array([each]) for each in (*sent, received))
    return int(round_trips_ns(wall, mono, stamp, now))


def test_a_wall_clock_that_was_set_meanwhile_does_not_show_in_the_round_trip() -> None:
    sent = (1_000_000 * MS, 500 * MS)
    for step in (-3_600_000 * MS, -100 * MS, 100 * MS, 3_600_000 * MS):
        received = sent[0] + step + 40 * MS
        now = (sent[0] + step + 45 * MS, sent[1] + 45 * MS)
        assert round_trip_ns(sent, received, now) == 45 * MS


def test_a_step_within_a_batch_shows_in_none_of_its_round_trips() -> None:
    sent_mono = np.array([0, 10, 20, 30]) * MS
    step = np.array([0, 0, 500, 500]) * MS  # the clock was set after the second packet had left
    received = 10_500 * MS + sent_mono + 4 * MS
    rtts = round_trips_ns(10_000 * MS + step + sent_mono, sent_mono, received, (10_540 * MS, 40 * MS))
    assert (rtts // MS).tolist() == [40, 30, 4, 4]


def test_without_a_step_the_kernels_time_counts_however_late_we_read_it() -> None:
    assert round_trip_ns((10_000 * MS, 0), 10_040 * MS, (10_900 * MS, 900 * MS)) == 40 * MS
