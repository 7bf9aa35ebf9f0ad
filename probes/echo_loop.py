"""The echo engine's loop: sends as pace and spacing allow, matches replies, expires packets at their timeout.

One timer and one reader per socket, whatever the number of packets: no event loop object per packet.
"""

import asyncio
import errno
import os
import struct
from collections import deque
from collections.abc import Iterable
from secrets import randbits
from time import monotonic_ns, time_ns

from probes.in_flight import Counters, EchoSocket, EchoSweep, HostInFlight, round_trip_ns
from probes.pacing import DelayQueues, Pace
from probes.packet import FOREIGN, MALFORMED

_BATCH = 256  # packets read before the event loop gets a turn
_BATCHES_IN_BUFFER = 256  # more than a full receive buffer holds
_TICK_NS = 1_000_000  # the finest timer
_RETRY_NS = 10_000_000
_RETRIES = 5
# EPERM: a firewall's full connection table.
_TRANSIENT = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EINTR}
_REMEMBERED = 1 << 20  # past tokens of which we know whether they were answered or timed out
_TIMESPEC = struct.Struct("@ll")

_Flight = tuple[HostInFlight, int, tuple[int, int]]  # the host, which packet of it, when it left (wall, monotonic)


class EchoEngine:
    def __init__(self, sockets: Iterable[EchoSocket], *, packets_per_second: float) -> None:
        self.counters = Counters()
        self.sockets = {int(echo_socket.sock.family): echo_socket for echo_socket in sockets}
        self.in_flight: dict[int, _Flight] = {}  # by token
        self._loop = asyncio.get_running_loop()
        self._pace = Pace(packets_per_second)
        self._ready: deque[HostInFlight] = deque()  # their next packet may leave
        self._spaced: DelayQueues[HostInFlight] = DelayQueues(lambda host: not host.sweep.future.done())
        self._expiries: DelayQueues[int] = DelayQueues(self.in_flight.__contains__)
        self._token = randbits(32)
        self._answered = bytearray(_REMEMBERED)
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0
        for echo_socket in self.sockets.values():
            self._loop.add_reader(echo_socket.sock, self._receive, echo_socket)

    def start(self, hosts: Iterable[HostInFlight]) -> None:
        self._ready.extend(hosts)
        self._wake_at(0)

    def abandon(self, sweep: EchoSweep) -> None:
        """Drop all that is left of a sweep."""
        for token in [token for token, flight in self.in_flight.items() if flight[0].sweep is sweep]:
            del self.in_flight[token]
        self._ready = deque(host for host in self._ready if host.sweep is not sweep)
        self._spaced.prune()
        self._expiries.prune()

    def clear(self) -> None:
        """Drop everything: no sweep is under way."""
        self._ready.clear()
        self.in_flight.clear()
        self._spaced.clear()
        self._expiries.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self.clear()
        for echo_socket in self.sockets.values():
            self._loop.remove_reader(echo_socket.sock)

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
        self._ready.extend(self._spaced.take_due(now))
        self._send(self._pace.take(now, len(self._ready)))
        if self._ready:
            self._wake_at(self._pace.free_at())
        for due in (self._expiries.next_due(), self._spaced.next_due()):
            if due is not None:
                self._wake_at(due)

    def _expire(self, now: int) -> None:
        due = self._expiries.next_due()
        if due is None or due > now:
            return
        for echo_socket in self.sockets.values():  # what arrived in time may still be in the buffer
            for _ in range(_BATCHES_IN_BUFFER):
                if self._receive(echo_socket) < _BATCH:
                    break
        for token in self._expiries.take_due(now):
            self.in_flight.pop(token)[0].sweep.close_packet()

    def _send(self, packets: int) -> None:
        ready, in_flight = self._ready, self.in_flight
        for _ in range(packets):
            host = ready.popleft()
            echo_socket = host.socket
            token = self._token
            packet = echo_socket.format.build(token)
            mono = monotonic_ns()
            wall = time_ns()
            try:
                echo_socket.sock.sendto(packet, host.to)
            except OSError as error:
                self._not_sent(host, mono, error)
                continue
            self._token = (token + 1) & 0xFFFFFFFF
            self._answered[token % _REMEMBERED] = 0
            in_flight[token] = (host, host.next, (wall, mono))
            self._expiries.queue(host.timeout_ns).append((mono + host.timeout_ns, token))
            self.counters.sent += 1
            self._advance(host, mono)

    def _advance(self, host: HostInFlight, now: int) -> None:
        host.next += 1
        host.tries = 0
        if host.next < host.count:
            self._spaced.queue(host.spacing_ns).append((now + host.spacing_ns, host))

    def _not_sent(self, host: HostInFlight, now: int, error: OSError) -> None:
        self.counters.send_errors += 1
        host.tries += 1
        if error.errno in _TRANSIENT and host.tries <= _RETRIES:
            self._spaced.queue(_RETRY_NS).append((now + _RETRY_NS, host))
            return
        host.faults += 1
        host.reason = f"not sent: {os.strerror(error.errno or 0)}"
        self._advance(host, now)
        host.sweep.close_packet()

    def _receive(self, echo_socket: EchoSocket) -> int:
        """Read a batch, then match it; return how many packets there were."""
        recvmsg = echo_socket.sock.recvmsg
        batch: list[tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]] = []
        try:
            while len(batch) < _BATCH:
                batch.append(recvmsg(256, 64))
        except BlockingIOError:
            pass
        except OSError:
            self.counters.receive_errors += 1
        mono = monotonic_ns()
        now = (time_ns(), mono)
        for data, ancillary, _, source in batch:
            token = echo_socket.format.parse(data)
            if token in self.in_flight:
                stamp = ancillary[0][2] if ancillary else b""
                self._match(token, source[0], stamp, now)
            else:
                self._count_unmatched(token)
        return len(batch)

    def _match(self, token: int, source: str, stamp: bytes, now: tuple[int, int]) -> None:
        host, index, sent = self.in_flight[token]
        if source != host.address:
            self.counters.foreign += 1
            return
        received_wall = now[0]
        if len(stamp) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(stamp)
            received_wall = seconds * 1_000_000_000 + nanoseconds
        rtt = round_trip_ns(sent, received_wall, now)
        if rtt > host.timeout_ns:
            self.counters.late += 1
            return
        del self.in_flight[token]
        self._answered[token % _REMEMBERED] = 1
        self.counters.received += 1
        host.rtts_ns[index] = rtt
        host.sweep.close_packet()

    def _count_unmatched(self, token: int) -> None:
        counters = self.counters
        if token == MALFORMED:
            counters.malformed += 1
        elif token == FOREIGN or (self._token - 1 - token) & 0xFFFFFFFF >= _REMEMBERED:
            counters.foreign += 1
        elif self._answered[token % _REMEMBERED]:
            counters.duplicates += 1
        else:
            counters.late += 1
