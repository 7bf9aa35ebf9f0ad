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
from probes.echo_batch import Counters, Ping, PingBatch, Pong, PongBatch
from probes.echo_loop import EchoEngine
from probes.echo_sweep import EchoSocket
from probes.icmp_socket import IcmpNotPermitted
from probes.sockaddr import NO_ADDRESS, address_text, prepare_addresses

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

    def set_rate(self, packets_per_second: float) -> None:
        """Send at this pace from now on."""
        self._engine.pace.set_rate(packets_per_second)

    @property
    def counters(self) -> Counters:
        return self._engine.counters

    @property
    def in_flight(self) -> int:
        return self._engine.in_flight

    async def sweep(self, batch: PingBatch) -> PongBatch:
        """Return one row per row of the batch, once every packet is answered, timed out or given up.

        Raises EchoClosed, and nothing else: what is wrong with a row is a fault of that row.
        """
        if self._closed:
            raise EchoClosed
        before = self._count_drops()
        sweep = self._engine.start(batch)
        try:
            await sweep.future
        finally:
            self._engine.end(sweep)
        if self._closed:
            raise EchoClosed
        after = self._count_drops()
        return sweep.pongs({family for family, drops in after.items() if drops != before[family]})

    async def ping(self, pings: Sequence[Ping]) -> list[Pong]:
        """Return one pong per ping, in order: a sweep of few hosts, without columns."""
        batch = PingBatch.of(pings)
        pongs = await self.sweep(batch)
        addresses = [
            ping.address if to["family"] == NO_ADDRESS else address_text(to)
            for ping, to in zip(pings, batch.to, strict=True)
        ]
        rows = zip(addresses, pongs.sent.tolist(), pongs.faults.tolist(), pongs.answers(), strict=True)
        return [Pong(*row, pongs.reasons.get(number)) for number, row in enumerate(rows)]

    def close(self) -> None:
        """End sweeps under way with EchoClosed, and unregister from the event loop."""
        self._closed = True
        self._engine.close()
        for sweep in self._engine.sweeps.values():
            if not sweep.future.done():
                sweep.future.set_exception(EchoClosed())

    def _count_drops(self) -> dict[int, int]:
        """Read each socket's drop counter, and count what is new in it; return them by address family."""
        for echo_socket in self._engine.sockets.values():
            now = icmp_socket.dropped_packets(echo_socket.sock)
            self.counters.drops += (now - echo_socket.drops) & 0xFFFFFFFF
            echo_socket.drops = now
        return {family: echo_socket.drops for family, echo_socket in self._engine.sockets.items()}
