"""The echo engine's loop: sends as pace and spacing allow, matches replies, expires packets at their timeout.

All work is done on batches, in arrays: no event loop object and no Python object per packet. Replies carry the
kernel's time, so they are not read one by one as they come: after a reply the sockets are left alone for a moment.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Iterable
from time import monotonic_ns, time_ns
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.echo_batch import Counters, PingBatch
from probes.echo_replies import receive
from probes.echo_sweep import EchoSocket, EchoSweep, HostGroup, Rows
from probes.in_flight import Tokens
from probes.pacing import DelayQueues, Pace
from probes.packet import BATCH

_TICK_NS = 1_000_000  # the finest timer
_GATHER_NS = 50_000_000  # how long replies may lie in the receive buffer
_RETRY_NS = 10_000_000
_RETRIES = 5
# EPERM: a firewall's full connection table.
_TRANSIENT = [errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EINTR]


class Flights(NamedTuple):
    """Packets that left together and expire together."""

    sweep: EchoSweep
    socket: EchoSocket
    tokens: Tokens

    def any_live(self) -> bool:
        return self.socket.in_flight.any_live(self.tokens)


class EchoEngine:
    def __init__(self, sockets: Iterable[EchoSocket], *, packets_per_second: float) -> None:
        self.counters = Counters()
        self.sockets = {int(echo_socket.sock.family): echo_socket for echo_socket in sockets}
        self.sweeps: dict[int, EchoSweep] = {}
        self._number = 0
        self._loop = asyncio.get_running_loop()
        room = min((echo_socket.room for echo_socket in self.sockets.values()), default=0)
        self._pace = Pace(packets_per_second, burst_packets=min(BATCH, room // 2))
        self._ready: deque[tuple[HostGroup, Rows]] = deque()  # their next packets may leave
        self._ready_count = 0
        self._spaced: DelayQueues[tuple[HostGroup, Rows]] = DelayQueues(lambda item: not item[0].sweep.future.done())
        self._expiries: DelayQueues[Flights] = DelayQueues(Flights.any_live)
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0
        for echo_socket in self.sockets.values():
            self._listen(echo_socket)

    @property
    def in_flight(self) -> int:
        return sum(echo_socket.in_flight.count for echo_socket in self.sockets.values())

    def start(self, batch: PingBatch) -> EchoSweep:
        """Begin a sweep; `end` must follow."""
        self._number += 1
        sweep = EchoSweep(self._number, batch, self.sockets)
        self.sweeps[sweep.number] = sweep
        if not sweep.open:
            sweep.future.set_result(None)
        for group, rows in sweep.groups():
            self._make_ready(group, rows)
            self._wake_at(0)
        return sweep

    def end(self, sweep: EchoSweep) -> None:
        """Drop all that is left of a sweep."""
        del self.sweeps[sweep.number]
        if not self.sweeps:
            self._clear()
        elif sweep.open:
            for echo_socket in self.sockets.values():
                echo_socket.in_flight.drop_sweep(sweep.number)
            self._ready = deque((group, rows) for group, rows in self._ready if group.sweep is not sweep)
            self._ready_count = sum(len(rows) for _, rows in self._ready)
            self._spaced.prune()
            self._expiries.prune()

    def close(self) -> None:
        self._clear()
        for echo_socket in self.sockets.values():
            self._loop.remove_reader(echo_socket.file)

    def _clear(self) -> None:
        """Drop everything: no sweep is under way."""
        self._ready.clear()
        self._ready_count = 0
        self._spaced.clear()
        self._expiries.clear()
        for echo_socket in self.sockets.values():
            echo_socket.in_flight.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None
            if echo_socket.gathering:
                self._listen(echo_socket)

    def _listen(self, echo_socket: EchoSocket) -> None:
        """Be woken by the next reply."""
        echo_socket.gathering = False
        self._loop.add_reader(echo_socket.file, self._readable, echo_socket)

    def _readable(self, echo_socket: EchoSocket) -> None:
        """Let this reply and the next ones gather, unless it is the last or the receive buffer might not hold them."""
        if 1 < echo_socket.in_flight.count < echo_socket.room // 2:
            echo_socket.gathering = True
            self._loop.remove_reader(echo_socket.file)
            self._wake_at(monotonic_ns() + _GATHER_NS)
        else:
            receive(echo_socket, self.sweeps, self.counters)

    def _gather(self, echo_socket: EchoSocket) -> None:
        received = receive(echo_socket, self.sweeps, self.counters)
        if received and (echo_socket.in_flight.count > 1 or self._ready_count):
            self._wake_at(monotonic_ns() + _GATHER_NS)
        else:
            self._listen(echo_socket)

    def _wake_at(self, due_ns: int) -> None:
        """Keep one timer, for the earliest time due."""
        if self._timer:
            if self._timer_due <= due_ns:
                return
            self._timer.cancel()
        self._timer_due = due_ns
        wait_ns = due_ns - monotonic_ns()
        if wait_ns > 0:
            self._timer = self._loop.call_later(max(wait_ns, _TICK_NS) / 1e9, self._tick)
        else:
            self._timer = self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = monotonic_ns()
        self._expire(now)
        for group, rows in self._spaced.take_due(now):
            self._make_ready(group, rows)
        self._send(self._pace.take(now, self._ready_count))
        if self._ready_count:
            self._wake_at(self._pace.due_for(self._ready_count))
        for due in (self._expiries.next_due(), self._spaced.next_due()):
            if due is not None:
                self._wake_at(due)
        for echo_socket in self.sockets.values():
            if echo_socket.gathering:
                self._gather(echo_socket)

    def _make_ready(self, group: HostGroup, rows: Rows) -> None:
        self._ready.append((group, rows))
        self._ready_count += len(rows)

    def _expire(self, now: int) -> None:
        due = self._expiries.next_due()
        if due is None or due > now:
            return
        for echo_socket in self.sockets.values():
            receive(echo_socket, self.sweeps, self.counters)  # what arrived in time may still be in the buffer
        for flights in self._expiries.take_due(now):
            flights.sweep.close_packets(flights.socket.in_flight.drop(flights.tokens))

    def _send(self, packets: int) -> None:
        while packets > 0 and self._ready:
            group, rows = self._ready.popleft()
            most = min(packets, BATCH)
            if len(rows) > most:
                self._ready.appendleft((group, rows[most:]))
                rows = rows[:most]
            self._ready_count -= len(rows)
            packets -= len(rows)
            self._send_batch(group, rows)

    def _send_batch(self, group: HostGroup, rows: Rows) -> None:
        sweep, echo_socket = group.sweep, group.socket
        in_flight, io = echo_socket.in_flight, echo_socket.io
        tokens = in_flight.next_tokens(len(rows))
        echo_socket.format.build(tokens)
        to = sweep.batch.to[rows]
        io.to[: len(rows)] = to
        wall_ahead = time_ns() - monotonic_ns()
        errnos, sent_at = io.send(len(rows))
        now = monotonic_ns()
        if errnos.any():
            failed, left = errnos != 0, errnos == 0
            self._not_sent(group, rows[failed], errnos[failed], now)
            rows, tokens, to, sent_at = rows[left], tokens[left], to[left], sent_at[left]
        if len(rows):
            columns = {"sweep": sweep.number, "cell": sweep.cells(rows), "timeout": group.timeout_ns}
            in_flight.add(tokens, to, wall=sent_at + wall_ahead, mono=sent_at, **columns)
            self._expiries.queue(group.timeout_ns).append((now + group.timeout_ns, Flights(sweep, echo_socket, tokens)))
            self.counters.sent += len(rows)
            self._advance(group, rows, now)

    def _advance(self, group: HostGroup, rows: Rows, now: int) -> None:
        sweep = group.sweep
        sweep.next[rows] += 1
        sweep.tries[rows] = 0
        rows = rows[sweep.next[rows] < sweep.count[rows]]
        if len(rows):
            self._spaced.queue(group.spacing_ns).append((now + group.spacing_ns, (group, rows)))

    def _not_sent(self, group: HostGroup, rows: Rows, errnos: NDArray[np.int32], now: int) -> None:
        sweep = group.sweep
        self.counters.send_errors += len(rows)
        sweep.tries[rows] += 1
        again = np.isin(errnos, _TRANSIENT) & (sweep.tries[rows] <= _RETRIES)
        if again.any():
            self._spaced.queue(_RETRY_NS).append((now + _RETRY_NS, (group, rows[again])))
        given_up = rows[~again]
        if len(given_up):
            self._advance(group, given_up, now)
            sweep.set_faults(given_up, [f"not sent: {os.strerror(code)}" for code in errnos[~again].tolist()])
