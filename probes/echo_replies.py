"""Reads what has arrived at a socket and matches it to what is in flight, a batch at a time."""

from collections.abc import Mapping
from time import monotonic_ns, time_ns

import numpy as np
from numpy.typing import NDArray

from probes import packet_io
from probes.echo_batch import Counters
from probes.echo_sweep import EchoSocket, EchoSweep
from probes.in_flight import FlightTable, round_trips_ns
from probes.packet import FOREIGN, MALFORMED

_BATCHES_IN_BUFFER = 256  # more than a full receive buffer holds

Sweeps = Mapping[int, EchoSweep]  # under way, by number


def receive(echo_socket: EchoSocket, sweeps: Sweeps, counters: Counters) -> int:
    """Read and match all that has arrived; return how many packets that were."""
    total = 0
    for _ in range(_BATCHES_IN_BUFFER):
        try:
            count = echo_socket.io.receive()
        except OSError:
            counters.receive_errors += 1
            break
        if count:
            _match(echo_socket, count, (time_ns(), monotonic_ns()), sweeps, counters)
        total += count
        if count < packet_io.BATCH:
            break
    return total


def _match(echo_socket: EchoSocket, count: int, now: tuple[int, int], sweeps: Sweeps, counters: Counters) -> None:
    """Match a batch of packets to what is in flight, and count what does not match."""
    io, in_flight = echo_socket.io, echo_socket.in_flight
    parsed = echo_socket.format.parse(io.received[:count], io.lengths[:count])
    counters.malformed += int(np.count_nonzero(parsed == MALFORMED))
    counters.foreign += int(np.count_nonzero(parsed == FOREIGN))
    packets = (parsed >= 0).nonzero()[0]
    slots = in_flight.find(parsed[packets].astype(np.uint32))
    if (slots < 0).any():
        _count_unmatched(in_flight.past(parsed[packets[slots < 0]].astype(np.uint32)), counters)
        packets, slots = packets[slots >= 0], slots[slots >= 0]
    right = in_flight.from_host(slots, io.sources[packets])
    counters.foreign += len(slots) - int(np.count_nonzero(right))
    packets, slots = packets[right], slots[right]
    stamps = io.stamps_ns[packets]
    received = np.where(stamps > 0, stamps, now[0])
    rtts = round_trips_ns(in_flight["wall"][slots], in_flight["mono"][slots], received, now)
    in_time = rtts <= in_flight["timeout"][slots]
    counters.late += len(slots) - int(np.count_nonzero(in_time))
    slots, rtts = slots[in_time], rtts[in_time]
    first = in_flight.first_of_each(slots)
    counters.duplicates += len(slots) - int(np.count_nonzero(first))
    counters.received += int(np.count_nonzero(first))
    _answer(in_flight, slots[first], rtts[first], sweeps)


def _answer(in_flight: FlightTable, slots: NDArray[np.int64], rtts: NDArray[np.int64], sweeps: Sweeps) -> None:
    in_flight.answer(slots)
    numbers, cells = in_flight["sweep"][slots], in_flight["cell"][slots]
    for number in set(numbers.tolist()):
        of_sweep = numbers == number
        sweeps[number].set_rtts(cells[of_sweep], rtts[of_sweep])


def _count_unmatched(past: tuple[int, int, int], counters: Counters) -> None:
    duplicates, late, foreign = past
    counters.duplicates += duplicates
    counters.late += late
    counters.foreign += foreign
