"""The echo engine: one shared ICMP socket per address family, however many hosts are asked.

Receive times are the kernel's: a busy event loop cannot inflate a round trip, and an answer that waited in
the socket's buffer past its timeout still counts. A token in the payload, not the 16-bit sequence, keys what
is in flight.
"""

import asyncio
import errno
import os
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from secrets import randbits
from socket import socket
from time import monotonic_ns, time_ns

from probes import icmp_socket
from probes.flight import Counters, Host, Line, Ping, Pong, Sweep, round_trip_ns, spell
from probes.icmp_socket import IcmpNotPermitted
from probes.pace import Lanes, Pace
from probes.packet import FOREIGN, MALFORMED

__all__ = ["Counters", "Echo", "EchoClosed", "IcmpNotPermitted", "Ping", "Pong"]

PACKETS_PER_SECOND = 20_000

_BATCH = 256  # packets read before the event loop gets a turn
_BATCHES_IN_BUFFER = 256  # more than a full receive buffer holds
_TIMESTAMPS_ON_S = 0.01  # the kernel begins to stamp a moment after it is told to
_TICK_NS = 1_000_000  # the finest timer
_RETRY_NS = 10_000_000
_RETRIES = 5
_PASSING = {
    errno.EAGAIN,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EPERM,
    errno.EINTR,
}  # EPERM: a full conntrack table
_REMEMBERED = 1 << 20  # tokens of the past that are told apart as answered or timed out
_TIMESPEC = struct.Struct("@ll")

_Flight = tuple[Host, int, tuple[int, int]]  # the host, which packet of it, when it left (wall, monotonic)


class EchoClosed(Exception):
    """The engine was closed while this sweep was under way."""


class Echo:
    def __init__(self, lines: Iterable[Line], *, packets_per_second: float) -> None:
        self.counters = Counters()
        self._lines = {int(line.sock.family): line for line in lines}
        self._loop = asyncio.get_running_loop()
        self._pace = Pace(packets_per_second)
        self._ready: deque[Host] = deque()  # their next packet may leave
        self._flights: dict[int, _Flight] = {}
        self._spaced: Lanes[Host] = Lanes(lambda host: not host.sweep.future.done())
        self._expiries: Lanes[int] = Lanes(self._flights.__contains__)
        self._sweeps: set[Sweep] = set()
        self._token = randbits(32)
        self._answered = bytearray(_REMEMBERED)
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0
        self._closed = False
        for line in self._lines.values():
            self._loop.add_reader(line.sock, self._receive, line)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, packets_per_second: float = PACKETS_PER_SECOND, sockets: Iterable[socket] | None = None
    ) -> AsyncIterator["Echo"]:
        """Raises IcmpNotPermitted. `sockets`: ICMP sockets made elsewhere; taken over, closed at the end."""
        socks = icmp_socket.open_icmp_sockets() if sockets is None else list(sockets)
        try:
            echo = cls([Line(sock) for sock in socks], packets_per_second=packets_per_second)
            try:
                await asyncio.sleep(_TIMESTAMPS_ON_S)
                yield echo
            finally:
                echo.close()
        finally:
            for sock in socks:
                sock.close()

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def ping(self, pings: Sequence[Ping]) -> list[Pong]:
        """One answer per ping, in order, as soon as every packet is answered, timed out or given up."""
        if self._closed:
            raise EchoClosed
        drops = {line: self._count_drops(line) for line in self._lines.values()}
        sweep = Sweep(self._loop.create_future())
        hosts = [self._host(sweep, ping) for ping in pings]
        waiting = [host for host in hosts if isinstance(host, Host)]
        sweep.open = sum(host.count for host in waiting)
        if waiting:
            self._sweeps.add(sweep)
            self._ready.extend(waiting)
            self._wake_at(0)
            try:
                await sweep.future
            finally:
                self._forget(sweep)
        dropped = {line for line in drops if self._count_drops(line) != drops[line]}
        return [host.pong(dropped=host.line in dropped) if isinstance(host, Host) else host for host in hosts]

    def close(self) -> None:
        """Sweeps under way end with EchoClosed; nothing stays registered with the event loop."""
        self._closed = True
        for line in self._lines.values():
            self._loop.remove_reader(line.sock)
        for sweep in self._sweeps:
            if not sweep.future.done():
                sweep.future.set_exception(EchoClosed())
        self._ready.clear()
        self._flights.clear()
        self._rest()

    def _host(self, sweep: Sweep, ping: Ping) -> Host | Pong:
        if problem := ping.problem():
            return Pong(ping.address, 0, max(0, ping.count), [], problem)
        spelt = spell(ping.address)
        line = self._lines.get(spelt[0]) if spelt else None
        if spelt is None or line is None:
            reason = "no ICMP socket for this address family here" if spelt else "not an address"
            return Pong(ping.address, 0, ping.count, [], reason)
        return Host(sweep, line, spelt[1], ping)

    def _forget(self, sweep: Sweep) -> None:
        self._sweeps.discard(sweep)
        if sweep.open:  # cancelled or closed midway
            for token in [token for token, flight in self._flights.items() if flight[0].sweep is sweep]:
                del self._flights[token]
            self._ready = deque(host for host in self._ready if host.sweep is not sweep)
            self._spaced.prune()
            self._expiries.prune()
        if not self._sweeps:
            self._rest()

    def _rest(self) -> None:
        self._spaced.clear()
        self._expiries.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _count_drops(self, line: Line) -> int:
        now = icmp_socket.drops(line.sock)
        self.counters.drops += (now - line.drops) & 0xFFFFFFFF
        line.drops = now
        return now

    # Time

    def _wake_at(self, due_ns: int) -> None:
        """Keeps one timer, for the earliest thing due."""
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
        for line in self._lines.values():  # what arrived in time may still be in the buffer
            for _ in range(_BATCHES_IN_BUFFER):
                if self._receive(line) < _BATCH:
                    break
        for token in self._expiries.take_due(now):
            self._flights.pop(token)[0].sweep.close_packet()

    # Sending

    def _send(self, packets: int) -> None:
        ready, flights = self._ready, self._flights
        for _ in range(packets):
            host = ready.popleft()
            line = host.line
            token = self._token
            packet = line.format.build(token)
            mono = monotonic_ns()
            wall = time_ns()
            try:
                line.sock.sendto(packet, host.to)
            except OSError as error:
                self._not_sent(host, mono, error)
                continue
            self._token = (token + 1) & 0xFFFFFFFF
            self._answered[token % _REMEMBERED] = 0
            flights[token] = (host, host.next, (wall, mono))
            self._expiries.lane(host.timeout_ns).append((mono + host.timeout_ns, token))
            self.counters.sent += 1
            self._advance(host, mono)

    def _advance(self, host: Host, now: int) -> None:
        host.next += 1
        host.tries = 0
        if host.next < host.count:
            self._spaced.lane(host.spacing_ns).append((now + host.spacing_ns, host))

    def _not_sent(self, host: Host, now: int, error: OSError) -> None:
        self.counters.send_errors += 1
        host.tries += 1
        if error.errno in _PASSING and host.tries <= _RETRIES:
            self._spaced.lane(_RETRY_NS).append((now + _RETRY_NS, host))
            return
        host.faults += 1
        host.reason = f"not sent: {os.strerror(error.errno or 0)}"
        self._advance(host, now)
        host.sweep.close_packet()

    # Receiving

    def _receive(self, line: Line) -> int:
        """Reads a batch, then judges it; answers how many there were."""
        recvmsg = line.sock.recvmsg
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
            token = line.format.parse(data)
            if token in self._flights:
                stamp = ancillary[0][2] if ancillary else b""
                self._answer(token, source[0], stamp, now)
            else:
                self._count_unmatched(token)
        return len(batch)

    def _answer(self, token: int, source: str, stamp: bytes, now: tuple[int, int]) -> None:
        host, index, sent = self._flights[token]
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
        del self._flights[token]
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
