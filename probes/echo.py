"""The echo engine: one shared ICMP socket per address family, however many hosts are asked.

Receive times are the kernel's: a busy event loop cannot inflate a round trip, and an answer that waited in
the socket's buffer past its timeout still counts. A token in the payload, not the 16-bit sequence, keys what
is in flight.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from socket import socket

from probes import icmp_socket
from probes.echo_loop import EchoEngine
from probes.icmp_socket import IcmpNotPermitted
from probes.in_flight import Counters, EchoSocket, EchoSweep, HostInFlight, Ping, Pong, canonical_address

__all__ = ["Counters", "Echo", "EchoClosed", "IcmpNotPermitted", "Ping", "Pong"]

PACKETS_PER_SECOND = 20_000

_TIMESTAMPS_ON_S = 0.01  # the kernel begins to stamp a moment after it is told to


class EchoClosed(Exception):
    """The engine was closed while this sweep was under way, or before."""


class Echo:
    def __init__(self, lines: Iterable[EchoSocket], *, packets_per_second: float) -> None:
        self._engine = EchoEngine(lines, packets_per_second=packets_per_second)
        self._sweeps: set[EchoSweep] = set()
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, packets_per_second: float = PACKETS_PER_SECOND, sockets: Iterable[socket] | None = None
    ) -> AsyncIterator["Echo"]:
        """Raises IcmpNotPermitted. `sockets`: ICMP sockets made elsewhere; taken over, closed at the end."""
        socks = icmp_socket.open_icmp_sockets() if sockets is None else list(sockets)
        try:
            echo = cls([EchoSocket(sock) for sock in socks], packets_per_second=packets_per_second)
            try:
                await asyncio.sleep(_TIMESTAMPS_ON_S)
                yield echo
            finally:
                echo.close()
        finally:
            for sock in socks:
                sock.close()

    @property
    def counters(self) -> Counters:
        return self._engine.counters

    @property
    def in_flight(self) -> int:
        return len(self._engine.flights)

    async def ping(self, pings: Sequence[Ping]) -> list[Pong]:
        """One answer per ping, in order, as soon as every packet is answered, timed out or given up.

        Raises EchoClosed, and nothing else: what is wrong with a ping is its own pong's fault.
        """
        if self._closed:
            raise EchoClosed
        before = self._drops()
        sweep = EchoSweep(asyncio.get_running_loop().create_future())
        hosts = [self._host(sweep, ping) for ping in pings]
        await self._flown(sweep, [host for host in hosts if isinstance(host, HostInFlight)])
        if self._closed:
            raise EchoClosed
        dropped = {line for line, drops in self._drops().items() if drops != before[line]}
        return [host.pong(dropped=host.line in dropped) if isinstance(host, HostInFlight) else host for host in hosts]

    def close(self) -> None:
        """Sweeps under way end with EchoClosed; nothing stays registered with the event loop."""
        self._closed = True
        self._engine.close()
        for sweep in self._sweeps:
            if not sweep.future.done():
                sweep.future.set_exception(EchoClosed())

    def _host(self, sweep: EchoSweep, ping: Ping) -> HostInFlight | Pong:
        if problem := ping.problem():
            return Pong(ping.address, 0, max(0, ping.count), [], problem)
        spelt = canonical_address(ping.address)
        line = self._engine.lines.get(spelt[0]) if spelt else None
        if spelt is None or line is None:
            reason = "no ICMP socket for this address family here" if spelt else "not an address"
            return Pong(ping.address, 0, ping.count, [], reason)
        return HostInFlight(sweep, line, spelt[1], ping)

    async def _flown(self, sweep: EchoSweep, hosts: Sequence[HostInFlight]) -> None:
        """Returns once no packet of these hosts is open, and leaves nothing of them behind if it is cancelled."""
        if not hosts:
            return
        sweep.open = sum(host.count for host in hosts)
        self._sweeps.add(sweep)
        self._engine.start(hosts)
        try:
            await sweep.future
        finally:
            self._sweeps.discard(sweep)
            if sweep.open:
                self._engine.abandon(sweep)
            if not self._sweeps:
                self._engine.rest()

    def _drops(self) -> dict[EchoSocket, int]:
        """Each socket's drop counter; what is new in it is counted."""
        for line in self._engine.lines.values():
            now = icmp_socket.dropped_packets(line.sock)
            self.counters.drops += (now - line.drops) & 0xFFFFFFFF
            line.drops = now
        return {line: line.drops for line in self._engine.lines.values()}
