"""Sends and receives batches of packets: one system call for many where libc has `sendmmsg` and `recvmmsg`."""

import ctypes
import errno
import os
import struct
from functools import cache
from socket import MSG_DONTWAIT, SOL_SOCKET, socket
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.icmp_socket import SO_TIMESTAMPNS
from probes.packet import RECEIVED_BYTES
from probes.sockaddr import SOCKADDR, SOCKADDR_LENGTH, address_text, prepare_addresses

BATCH = 256  # packets received at a time
WINDOW = 32  # packets sent between two looks at the clock
_CONTROL_BYTES = 64
_TIMESPEC = struct.Struct("@ll")
_STAMP_BYTES = 16 + _TIMESPEC.size  # a control message's header, and what it carries

# `struct mmsghdr` and `struct iovec` where pointers have 64 bits.
_MESSAGE = np.dtype(
    [
        ("name", "=u8"), ("name_length", "=u4"), ("", "=u4"), ("vector", "=u8"), ("vectors", "=u8"),
        ("control", "=u8"), ("control_length", "=u8"), ("flags", "=i4"), ("", "=u4"), ("length", "=u4"), ("", "=u4"),
    ]
)  # fmt: skip
_VECTOR = np.dtype([("base", "=u8"), ("length", "=u8")])


class PacketIO:
    """One system call a packet. The buffers are written by their owner and by `receive`, and hold one batch each."""

    def __init__(self, sock: socket, packets: NDArray[np.uint8]) -> None:
        self.packets = packets
        self.to = np.zeros(len(packets), SOCKADDR)
        self.received = np.zeros((BATCH, RECEIVED_BYTES), np.uint8)
        self.sources = np.zeros(BATCH, SOCKADDR)
        self.lengths = np.zeros(BATCH, np.int64)
        self.stamps_ns = np.zeros(BATCH, np.int64)  # by the kernel's wall clock; 0: it gave none
        self._sock = sock

    def send(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Send the first `count` packets; return the errno of each, 0 if it left, and when (monotonic, ns).

        A packet's time is interpolated between the clock readings around its window, at most WINDOW packets.
        """
        errnos = np.zeros(count, np.int32)
        started = monotonic_ns()
        at, bounds, elapsed = 0, [0], [0]
        while at < count:
            try:
                at += self._send_some(at, min(at + WINDOW, count))
            except OSError as error:
                errnos[at] = error.errno or errno.EIO
                at += 1
            bounds.append(at)
            elapsed.append(monotonic_ns() - started)
        return errnos, started + np.interp(np.arange(count), bounds, elapsed).astype(np.int64)

    def receive(self) -> int:
        """Fill the buffers with what has arrived; return how many packets there were, BATCH at most."""
        for row in range(BATCH):
            try:
                data, ancillary, _, source = self._sock.recvmsg(RECEIVED_BYTES, _CONTROL_BYTES)
            except BlockingIOError:
                return row
            self.received[row, : len(data)] = np.frombuffer(data, np.uint8)
            self.lengths[row] = len(data)
            self.sources[row] = prepare_addresses([source[0].partition("%")[0]])[0]
            stamp = ancillary[0][2] if ancillary else bytes(_TIMESPEC.size)
            seconds, nanoseconds = _TIMESPEC.unpack(stamp)
            self.stamps_ns[row] = seconds * 1_000_000_000 + nanoseconds
        return BATCH

    def _send_some(self, start: int, stop: int) -> int:
        """Send at least one of these packets; return how many left."""
        self._sock.sendto(self.packets[start].tobytes(), (address_text(self.to[start]), 0))
        return 1


class BatchedPacketIO(PacketIO):
    """One system call a batch."""

    def __init__(self, sock: socket, packets: NDArray[np.uint8], libc: ctypes.CDLL) -> None:
        super().__init__(sock, packets)
        self._libc = libc
        self._file = sock.fileno()
        self._name_length = SOCKADDR_LENGTH[sock.family]
        self._control = np.zeros((BATCH, _CONTROL_BYTES // 8), np.int64)
        self._outgoing, self._kept_outgoing = _messages(packets, self.to)
        self._incoming, self._kept_incoming = _messages(self.received, self.sources)
        self._outgoing["name_length"] = self._name_length
        self._incoming["control"] = _row_addresses(self._control)
        self._outgoing_at = self._outgoing.ctypes.data
        self._incoming_at = self._incoming.ctypes.data

    def receive(self) -> int:
        incoming = self._incoming
        incoming["name_length"] = self._name_length
        incoming["control_length"] = _CONTROL_BYTES
        count: int = self._libc.recvmmsg(self._file, self._incoming_at, BATCH, MSG_DONTWAIT, None)
        if count < 0:
            error = ctypes.get_errno()
            if error == errno.EAGAIN:
                return 0
            raise OSError(error, os.strerror(error))
        self.lengths[:count] = incoming["length"][:count]
        self.stamps_ns[:count] = self._stamps(count)
        return count

    def _send_some(self, start: int, stop: int) -> int:
        at = self._outgoing_at + start * _MESSAGE.itemsize
        count: int = self._libc.sendmmsg(self._file, at, stop - start, MSG_DONTWAIT)
        if count < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return count

    def _stamps(self, count: int) -> NDArray[np.int64]:
        control = self._control[:count]
        header = control.view(np.uint32)
        stamped = (header[:, 2] == SOL_SOCKET) & (header[:, 3] == SO_TIMESTAMPNS)
        stamped &= self._incoming["control_length"][:count] >= _STAMP_BYTES
        return np.where(stamped, control[:, 2] * 1_000_000_000 + control[:, 3], 0)


def open_packet_io(sock: socket, packets: NDArray[np.uint8]) -> PacketIO:
    """Return the way to send the rows of `packets` over this socket that costs the fewest system calls here."""
    libc = _batching_libc()
    return BatchedPacketIO(sock, packets, libc) if libc else PacketIO(sock, packets)


@cache
def _batching_libc() -> ctypes.CDLL | None:
    """Return libc if it can send and receive a batch, and lays out its messages as we do."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        struct.calcsize("P") != _VECTOR["base"].itemsize
        or not hasattr(libc, "sendmmsg")
        or not hasattr(libc, "recvmmsg")
    ):
        return None
    number, pointer = ctypes.c_int, ctypes.c_void_p
    libc.sendmmsg.argtypes = (number, pointer, ctypes.c_uint, number)
    libc.recvmmsg.argtypes = (number, pointer, ctypes.c_uint, number, pointer)
    return libc


def _messages(data: NDArray[np.uint8], names: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return one message a row of the data, and the vectors that it points to, which must be kept."""
    vectors = np.zeros(len(data), _VECTOR)
    vectors["base"] = _row_addresses(data)
    vectors["length"] = data.shape[1]
    messages = np.zeros(len(data), _MESSAGE)
    messages["name"] = _row_addresses(names)
    messages["vector"] = _row_addresses(vectors)
    messages["vectors"] = 1
    return messages, vectors


def _row_addresses(rows: NDArray[Any]) -> NDArray[np.uint64]:
    return (rows.ctypes.data + rows.strides[0] * np.arange(len(rows))).astype(np.uint64)
