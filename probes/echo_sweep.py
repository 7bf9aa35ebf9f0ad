"""One sweep while it is under way: its hosts as columns, its answers as a matrix."""

import asyncio
from collections.abc import Mapping, Sequence
from socket import socket
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes import icmp_socket
from probes.echo_batch import UNANSWERED, PingBatch, PingKind, PongBatch
from probes.in_flight import FlightTable
from probes.packet import EchoFormat
from probes.packet_io import open_packet_io

Rows = NDArray[np.int64]

OVERFLOW = "the receive buffer overflowed: answers may have been dropped here"
_REPLY_BYTES = 768  # what one echo reply takes of a socket's buffer


class EchoSocket:
    """One prepared ICMP socket: its packet format, and what is in flight over it."""

    def __init__(self, sock: socket) -> None:
        icmp_socket.prepare(sock)
        self.sock = sock
        self.file = sock.fileno()
        self.format = EchoFormat(sock.family, sock.type)
        self.io = open_packet_io(sock, self.format.packets)
        self.in_flight = FlightTable(sock.family)
        self.gathering = False  # replies are left in the receive buffer for a moment
        self.drops = icmp_socket.dropped_packets(sock)
        self.room = icmp_socket.receive_buffer(sock) // _REPLY_BYTES  # answers that it holds


class HostGroup(NamedTuple):
    """What hosts have in common that are sent to together."""

    sweep: "EchoSweep"
    socket: EchoSocket
    packets: int
    spacing_ns: int
    timeout_ns: int


class EchoSweep:
    """`future` is done once no packet is open."""

    def __init__(self, number: int, batch: PingBatch, sockets: Mapping[int, EchoSocket]) -> None:
        self.number = number
        self.batch = batch
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reasons: dict[int, str] = {}
        self.groups: list[tuple[HostGroup, Rows]] = []
        self.count = batch.count.copy()  # of packets that are to be sent
        self.next = np.zeros(len(batch), np.int32)  # the packet that comes next
        self.tries: dict[int, int] = {}  # of that packet, by row
        self.faults = np.zeros(len(batch), np.int32)
        for kind, rows in batch.by_kind():
            self._add(kind, rows, sockets)
        self.open = sum(group.packets * len(rows) for group, rows in self.groups)
        width = max((group.packets for group, _ in self.groups), default=0)
        self.rtts_ns = np.full((len(batch), width), UNANSWERED, np.int64)

    def _add(self, kind: PingKind, rows: Rows, sockets: Mapping[int, EchoSocket]) -> None:
        problem = kind.problem()
        if problem is None and kind.family not in sockets:
            problem = "no ICMP socket for this address family here"
        if problem is None:
            self.groups.append((HostGroup(self, sockets[kind.family], *kind[1:]), rows))
        else:
            self.reasons |= dict.fromkeys(rows.tolist(), problem)
            self.faults[rows] = max(kind.packets, 0)
            self.count[rows] = 0

    def cells(self, rows: Rows) -> Rows:
        """Return where the round trips of the next packets belong in the flat matrix."""
        return rows * self.rtts_ns.shape[1] + self.next[rows]

    def set_rtts(self, cells: Rows, rtts_ns: NDArray[np.int64]) -> None:
        self.rtts_ns.reshape(-1)[cells] = rtts_ns
        self.close_packets(len(cells))

    def set_faults(self, rows: Rows, reasons: Sequence[str]) -> None:
        """Give up the next packet of each row."""
        self.faults[rows] += 1
        self.reasons.update(zip(rows.tolist(), reasons, strict=True))
        self.close_packets(len(rows))

    def close_packets(self, count: int) -> None:
        self.open -= count
        if not self.open and not self.future.done():
            self.future.set_result(None)

    def pongs(self, dropped: set[int]) -> PongBatch:
        """Return the result once no packet is open; `dropped`: families of which answers may have been dropped."""
        faults = self.faults
        if dropped:
            unanswered = self.count - faults - np.count_nonzero(self.rtts_ns != UNANSWERED, axis=1)
            lost = (unanswered > 0) & np.isin(self.batch.to["family"], list(dropped))
            faults[lost] += unanswered[lost]
            self.reasons.update(dict.fromkeys(np.flatnonzero(lost).tolist(), OVERFLOW))
        return PongBatch(np.maximum(self.count - faults, 0), faults, self.rtts_ns, self.reasons)
