"""The echo engine's loop: sends as pace and spacing allow, matches replies, expires packets at their timeout.

All work is done on batches, in arrays: no event loop object and no Python object per packet. What falls due at about
the same time, of whatever sweeps, leaves in one batch. Replies carry the kernel's time, so they are not read one by one
as they come: after a reply the sockets are left alone for a moment.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Iterable
from itertools import accumulate
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
_JOIN_NS = 2_000_000  # how long a sweep that begins waits for others that begin now
_GATHER_NS = 50_000_000  # how long replies may lie in the receive buffer
_SLACK_NS = 25_000_000  # how far from its time a host's next packet may leave, together with others
_RETRY_NS = 10_000_000
_RETRIES = 5
# EPERM: a firewall's full connection table.
_TRANSIENT = [errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EINTR]


class ReadyHosts(NamedTuple):
    """Hosts whose next packet may leave."""

    group: HostGroup
    rows: Rows


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
        self.pace = Pace(packets_per_second, burst_packets=min(BATCH, room // 2))
        self._ready: deque[ReadyHosts] = deque()
        self._ready_count = 0
        self._spaced: DelayQueues[ReadyHosts] = DelayQueues(
            lambda hosts: not hosts.group.sweep.future.done(), slack_ns=_SLACK_NS
        )
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
        for group, rows in sweep.groups:
            self._make_ready(ReadyHosts(group, rows))
            self._wake_at(monotonic_ns() + _JOIN_NS)
        return sweep

    def end(self, sweep: EchoSweep) -> None:
        """Drop all that is left of a sweep."""
        del self.sweeps[sweep.number]
        if not self.sweeps:
            self._clear()
        elif sweep.open:
            for echo_socket in self.sockets.values():
                echo_socket.in_flight.drop_sweep(sweep.number)
            self._ready = deque(hosts for hosts in self._ready if hosts.group.sweep is not sweep)
            self._ready_count = sum(len(hosts.rows) for hosts in self._ready)
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
        if self._timer:
            self._timer.cancel()
            self._timer = None
        for echo_socket in self.sockets.values():
            echo_socket.in_flight.clear()
            if echo_socket.gathering:
                self._listen(echo_socket)

    def _listen(self, echo_socket: EchoSocket) -> None:
        """Be woken by the next reply."""
        echo_socket.gathering = False
        self._loop.add_reader(echo_socket.file, self._readable, echo_socket)

    def _readable(self, echo_socket: EchoSocket) -> None:
        """Let this reply and the next ones gather, unless it is the last or the receive buffer might not hold them."""
        if 1 < echo_socket.in_flight.count < echo_socket.room // 2:
            self._gather(echo_socket)
        else:
            receive(echo_socket, self.sweeps, self.counters)

    def _gather(self, echo_socket: EchoSocket) -> None:
        """Leave the receive buffer alone for a moment."""
        if not echo_socket.gathering:
            echo_socket.gathering = True
            self._loop.remove_reader(echo_socket.file)
        self._wake_at(monotonic_ns() + _GATHER_NS)

    def _receive(self, echo_socket: EchoSocket) -> None:
        """Read what has arrived; if that was something, what is still in flight will soon arrive, too."""
        received = receive(echo_socket, self.sweeps, self.counters)
        if received and (echo_socket.in_flight.count > 1 or self._ready_count):
            self._gather(echo_socket)
        elif echo_socket.gathering:
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
        for hosts in self._spaced.take_due(now):
            self._make_ready(hosts)
        self._send(self.pace.take(now, self._ready_count))
        for echo_socket in self.sockets.values():
            if echo_socket.gathering or echo_socket.in_flight.count:
                self._receive(echo_socket)
        if self._ready_count:
            self._wake_at(self.pace.due_for(self._ready_count))
        if not self.in_flight:
            self._expiries.clear()
        for due in (self._expiries.next_due(), self._spaced.next_due()):
            if due is not None:
                self._wake_at(due)

    def _make_ready(self, hosts: ReadyHosts) -> None:
        self._ready.append(hosts)
        self._ready_count += len(hosts.rows)

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
            batch = self._take_ready(min(packets, BATCH))
            packets -= self._send_batch(batch)

    def _take_ready(self, most: int) -> list[ReadyHosts]:
        """Take so many hosts out, at most, which are sent to over the same socket."""
        taken, echo_socket = list[ReadyHosts](), self._ready[0].group.socket
        while most and self._ready and self._ready[0].group.socket is echo_socket:
            group, rows = self._ready.popleft()
            if len(rows) > most:
                self._ready.appendleft(ReadyHosts(group, rows[most:]))
                rows = rows[:most]
            taken.append(ReadyHosts(group, rows))
            most -= len(rows)
            self._ready_count -= len(rows)
        return taken

    def _send_batch(self, batch: list[ReadyHosts]) -> int:
        """Send a packet to each host; return how many hosts these are."""
        echo_socket, lengths = batch[0].group.socket, [len(hosts.rows) for hosts in batch]
        count, io, in_flight = sum(lengths), echo_socket.io, echo_socket.in_flight
        tokens = in_flight.next_tokens(count)
        echo_socket.format.build(tokens)
        io.to[:count] = to = np.concatenate([group.sweep.batch.to[rows] for group, rows in batch])
        wall_ahead = time_ns() - monotonic_ns()
        errnos, sent_at = io.send(count)
        now, failed = monotonic_ns(), bool(errnos.any())
        columns = {
            "sweep": np.repeat([group.sweep.number for group, _ in batch], lengths),
            "cell": np.concatenate([group.sweep.cells(rows) for group, rows in batch]),
            "timeout": np.repeat([group.timeout_ns for group, _ in batch], lengths),
            "wall": sent_at + wall_ahead,
            "mono": sent_at,
        }
        left = errnos == 0 if failed else slice(None)
        in_flight.add(tokens[left], to[left], **{name: values[left] for name, values in columns.items()})
        for hosts, end in zip(batch, accumulate(lengths), strict=True):
            part = slice(end - len(hosts.rows), end)
            self._follow(hosts, tokens[part], errnos[part] if failed else None, now)
        return count

    def _follow(self, hosts: ReadyHosts, tokens: Tokens, errnos: NDArray[np.int32] | None, now: int) -> None:
        """Queue what follows once these packets left, or did not; without `errnos` all of them left."""
        (sweep, echo_socket, _, _, timeout_ns), rows = hosts
        if errnos is not None:
            left = errnos == 0
            self._not_sent(hosts.group, rows[~left], errnos[~left], now)
            rows, tokens = rows[left], tokens[left]
        if len(rows):
            self._expiries.queue(timeout_ns).append((now + timeout_ns, Flights(sweep, echo_socket, tokens)))
            self.counters.sent += len(rows)
            self._advance(hosts.group, rows, now)

    def _advance(self, group: HostGroup, rows: Rows, now: int) -> None:
        """Queue the hosts' next packets."""
        sweep = group.sweep
        sweep.next[rows] = following = sweep.next[rows] + 1
        if sweep.tries:
            for row in rows.tolist():
                sweep.tries.pop(row, None)
        rows = rows[following < group.packets]
        if len(rows):
            self._spaced.queue(group.spacing_ns).append((now + group.spacing_ns, ReadyHosts(group, rows)))

    def _not_sent(self, group: HostGroup, rows: Rows, errnos: NDArray[np.int32], now: int) -> None:
        sweep = group.sweep
        self.counters.send_errors += len(rows)
        tries = [sweep.tries.get(row, 0) + 1 for row in rows.tolist()]
        sweep.tries.update(zip(rows.tolist(), tries, strict=True))
        again = np.isin(errnos, _TRANSIENT) & (np.array(tries) <= _RETRIES)
        if again.any():
            self._spaced.queue(_RETRY_NS).append((now + _RETRY_NS, ReadyHosts(group, rows[again])))
        given_up = rows[~again]
        if len(given_up):
            self._advance(group, given_up, now)
            sweep.set_faults(given_up, [f"not sent: {os.strerror(code)}" for code in errnos[~again].tolist()])
