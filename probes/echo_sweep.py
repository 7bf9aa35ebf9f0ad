"""One sweep while it is under way: its hosts as columns, its answers as a matrix."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from socket import socket
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes import icmp_socket
from probes.echo_batch import NONSENSE, UNANSWERED, PingBatch, PongBatch
from probes.in_flight import FlightTable
from probes.packet import EchoFormat
from probes.packet_io import open_packet_io
from probes.sockaddr import NO_ADDRESS

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
    spacing_ns: int
    timeout_ns: int


class EchoSweep:
    """`future` is done once no packet is open."""

    def __init__(self, number: int, batch: PingBatch, sockets: Mapping[int, EchoSocket]) -> None:
        self.number = number
        self.batch = batch
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sockets = sockets
        self.reasons: dict[int, str] = {}
        self._good = self._find_good()
        self.count = np.where(self._good, batch.count, 0)
        self.open = int(self.count.sum())
        self.rtts_ns = np.full((len(batch), int(self.count.max(initial=0))), UNANSWERED, np.int64)
        self.next = np.zeros(len(batch), np.int32)  # the packet that comes next
        self.tries = np.zeros(len(batch), np.int8)  # of that packet
        self.faults = np.zeros(len(batch), np.int32)

    def groups(self) -> Iterator[tuple[HostGroup, Rows]]:
        batch = self.batch
        rows = np.flatnonzero(self._good)
        for of_group in _grouped(rows, [batch.to["family"], batch.spacing_ns, batch.timeout_ns]):
            first = of_group[0]
            echo_socket = self.sockets[int(batch.to["family"][first])]
            yield HostGroup(self, echo_socket, int(batch.spacing_ns[first]), int(batch.timeout_ns[first])), of_group

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
        faults = np.where(self._good, self.faults, np.maximum(self.batch.count, 0))
        if dropped:
            unanswered = self.count - self.faults - np.count_nonzero(self.rtts_ns != UNANSWERED, axis=1)
            lost = (unanswered > 0) & np.isin(self.batch.to["family"], list(dropped))
            faults[lost] += unanswered[lost]
            self.reasons.update(dict.fromkeys(np.flatnonzero(lost).tolist(), OVERFLOW))
        sent = np.where(self._good, self.count - faults, 0)
        return PongBatch(sent.astype(np.int32), faults.astype(np.int32), self.rtts_ns, self.reasons)

    def _find_good(self) -> NDArray[np.bool_]:
        """Return which rows can be sent; the others have their reason."""
        family = self.batch.to["family"]
        served = np.logical_or.reduce([family == each for each in self.sockets])
        senseful = self.batch.makes_sense()
        good: NDArray[np.bool_] = served & senseful
        for row in np.flatnonzero(~good).tolist():
            if not senseful[row]:
                self.reasons[row] = NONSENSE
            elif family[row] == NO_ADDRESS:
                self.reasons[row] = "not an address"
            else:
                self.reasons[row] = "no ICMP socket for this address family here"
        return good


def _grouped(rows: Rows, columns: Sequence[NDArray[Any]]) -> list[Rows]:
    """Return the rows that are alike in all columns, group by group."""
    if not len(rows):
        return []
    of_rows = [column[rows] for column in columns]
    differing = [values for values in of_rows if (values != values[0]).any()]
    if not differing:
        return [rows]
    group = np.zeros(len(rows), np.int64)
    for values in differing:
        distinct, which = np.unique(values, return_inverse=True)
        group = group * len(distinct) + which
    order = np.argsort(group, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1)
