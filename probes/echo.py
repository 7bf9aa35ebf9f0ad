"""The echo engine: one shared ICMP socket per address family, however many hosts are pinged.

Receive times are the kernel's: a busy event loop cannot inflate a round trip, and an answer that waited in
the socket's buffer past its timeout still counts. A token in the payload, not the 16-bit sequence, keys what
is in flight.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from socket import socket

from probes import icmp_socket
from probes.echo_batch import NO_ADDRESS, PingBatch, PongBatch, address_text, pong_batch, prepare_addresses
from probes.echo_loop import EchoEngine
from probes.icmp_socket import IcmpNotPermitted
from probes.in_flight import Counters, EchoSocket, EchoSweep, HostInFlight, Ping, Pong, canonical_address

__all__ = [
    "Counters",
    "Echo",
    "EchoClosed",
    "IcmpNotPermitted",
    "Ping",
    "PingBatch",
    "Pong",
    "PongBatch",
    "prepare_addresses",
]

PACKETS_PER_SECOND = 20_000

_TIMESTAMPS_ON_S = 0.01  # the kernel starts to stamp packets a moment after it is asked to


class EchoClosed(Exception):
    """The engine was closed while this sweep was under way, or before."""


class Echo:
    def __init__(self, sockets: Iterable[EchoSocket], *, packets_per_second: float) -> None:
        self._engine = EchoEngine(sockets, packets_per_second=packets_per_second)
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
        return len(self._engine.in_flight)

    async def ping(self, pings: Sequence[Ping]) -> list[Pong]:
        """Return one pong per ping, in order, once every packet is answered, timed out or given up.

        Raises EchoClosed, and nothing else: what is wrong with a ping is a fault of its pong.
        """
        if self._closed:
            raise EchoClosed
        before = self._count_drops()
        sweep = EchoSweep(asyncio.get_running_loop().create_future())
        hosts = [self._put_in_flight(sweep, ping) for ping in pings]
        await self._wait_for_answers(sweep, [host for host in hosts if isinstance(host, HostInFlight)])
        if self._closed:
            raise EchoClosed
        dropped = {echo_socket for echo_socket, drops in self._count_drops().items() if drops != before[echo_socket]}
        return [host.pong(dropped=host.socket in dropped) if isinstance(host, HostInFlight) else host for host in hosts]

    async def sweep(self, batch: PingBatch) -> PongBatch:
        """Return one row per row of the batch, once every packet is answered, timed out or given up.

        Raises EchoClosed, and nothing else: what is wrong with a row is a fault of that row.
        """
        texts = [address_text(to) if to["family"] != NO_ADDRESS else "" for to in batch.to]
        rows = zip(texts, batch.count.tolist(), batch.spacing_ns.tolist(), batch.timeout_ns.tolist(), strict=True)
        pongs = await self.ping([Ping(to, count, spacing / 1e9, timeout / 1e9) for to, count, spacing, timeout in rows])
        return pong_batch(pongs, int(batch.count.max(initial=0)))

    def close(self) -> None:
        """End sweeps under way with EchoClosed, and unregister from the event loop."""
        self._closed = True
        self._engine.close()
        for sweep in self._sweeps:
            if not sweep.future.done():
                sweep.future.set_exception(EchoClosed())

    def _put_in_flight(self, sweep: EchoSweep, ping: Ping) -> HostInFlight | Pong:
        if problem := ping.problem():
            return Pong(ping.address, 0, max(0, ping.count), [], problem)
        canonical = canonical_address(ping.address)
        echo_socket = self._engine.sockets.get(canonical[0]) if canonical else None
        if canonical is None or echo_socket is None:
            reason = "no ICMP socket for this address family here" if canonical else "not an address"
            return Pong(ping.address, 0, ping.count, [], reason)
        return HostInFlight(sweep, echo_socket, canonical[1], ping)

    async def _wait_for_answers(self, sweep: EchoSweep, hosts: Sequence[HostInFlight]) -> None:
        """Return once no packet of these hosts is open; if cancelled, drop all that is left of them."""
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
                self._engine.clear()

    def _count_drops(self) -> dict[EchoSocket, int]:
        """Read each socket's drop counter, and count what is new in it."""
        for echo_socket in self._engine.sockets.values():
            now = icmp_socket.dropped_packets(echo_socket.sock)
            self.counters.drops += (now - echo_socket.drops) & 0xFFFFFFFF
            echo_socket.drops = now
        return {echo_socket: echo_socket.drops for echo_socket in self._engine.sockets.values()}
