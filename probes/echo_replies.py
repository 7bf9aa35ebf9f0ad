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

Index = NDArray[np.int64] | slice
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
    slots = in_flight.find(parsed.astype(np.uint32))
    known = (parsed >= 0) & (slots >= 0)
    packets: Index = slice(0, count)
    if not known.all():
        _count_unknown(in_flight, parsed[~known], counters)
        packets = known.nonzero()[0]
        slots = slots[packets]
    stamps = io.stamps_ns[packets]
    received = np.where(stamps > 0, stamps, now[0])
    rtts = round_trips_ns(in_flight["wall"][slots], in_flight["mono"][slots], received, now)
    right = in_flight.from_host(slots, io.sources[packets])
    good = right & (rtts <= in_flight["timeout"][slots])
    if not good.all():
        counters.foreign += len(slots) - int(np.count_nonzero(right))
        counters.late += int(np.count_nonzero(right)) - int(np.count_nonzero(good))
        slots, rtts = slots[good], rtts[good]
    first = in_flight.first_of_each(slots)
    if not first.all():
        counters.duplicates += len(slots) - int(np.count_nonzero(first))
        slots, rtts = slots[first], rtts[first]
    counters.received += len(slots)
    _answer(in_flight, slots, rtts, sweeps)


def _answer(in_flight: FlightTable, slots: NDArray[np.int64], rtts: NDArray[np.int64], sweeps: Sweeps) -> None:
    in_flight.answer(slots)
    numbers, cells = in_flight["sweep"][slots], in_flight["cell"][slots]
    for number in set(numbers.tolist()):
        of_sweep = numbers == number
        sweeps[number].set_rtts(cells[of_sweep], rtts[of_sweep])


def _count_unknown(in_flight: FlightTable, parsed: NDArray[np.int64], counters: Counters) -> None:
    """Count packets that answer nothing in flight."""
    counters.malformed += int(np.count_nonzero(parsed == MALFORMED))
    duplicates, late, foreign = in_flight.past(parsed[parsed >= 0].astype(np.uint32))
    counters.duplicates += duplicates
    counters.late += late
    counters.foreign += foreign + int(np.count_nonzero(parsed == FOREIGN))
