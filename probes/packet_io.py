"""Sends and receives batches of packets from buffers that are prepared once.

Received are many with one system call, where libc has `recvmmsg`. Sent is each with its own, the clock read right
before: with `sendmmsg` the times within a batch would be guesses, wrong by milliseconds whenever this process is
interrupted meanwhile.
"""

import ctypes
import errno
import os
import struct
from contextlib import suppress
from functools import cache
from socket import MSG_DONTWAIT, socket
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.packet import RECEIVED_BYTES
from probes.sockaddr import SOCKADDR, SOCKADDR_LENGTH, address_text, prepare_addresses

BATCH = 512  # packets received at a time
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
    """Calls of the socket module. The buffers are written by their owner and by `receive`, and hold one batch each."""

    def __init__(self, sock: socket, packets: NDArray[np.uint8]) -> None:
        self.packets = packets
        self.to = np.zeros(len(packets), SOCKADDR)
        self.received = np.zeros((BATCH, RECEIVED_BYTES), np.uint8)
        self.sources = np.zeros(BATCH, SOCKADDR)
        self.lengths = np.zeros(BATCH, np.uint32)
        self.stamps_ns = np.zeros(BATCH, np.int64)  # by the kernel's wall clock; 0: it gave none
        self._sock = sock

    def send(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Send the first `count` packets; return the errno of each, 0 if it left, and when (monotonic, ns)."""
        errnos, sent_at = [], []
        for packet, to in zip(self.packets[:count], self.to, strict=False):
            sent_at.append(monotonic_ns())
            try:
                self._sock.sendto(packet, (address_text(to), 0))
                errnos.append(0)
            except OSError as error:
                errnos.append(error.errno or errno.EIO)
        return np.array(errnos, np.int32), np.array(sent_at, np.int64)

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


class LibcPacketIO(PacketIO):
    """Calls of libc, with messages that point into the buffers."""

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
        self.lengths = self._incoming["length"]
        self._used = BATCH  # messages of the last call
        self._outgoing_at = [ctypes.c_void_p(address) for address in _row_addresses(self._outgoing).tolist()]
        self._incoming_at = ctypes.c_void_p(self._incoming.ctypes.data)

    def send(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        errnos, sent_at = np.zeros(count, np.int32), []
        sendmsg, file = self._libc.sendmsg, self._file
        for row, message in enumerate(self._outgoing_at[:count]):
            sent_at.append(monotonic_ns())
            if sendmsg(file, message, MSG_DONTWAIT) < 0:
                errnos[row] = ctypes.get_errno()
        return errnos, np.array(sent_at, np.int64)

    def receive(self) -> int:
        incoming = self._incoming
        incoming["name_length"][: self._used] = self._name_length  # the kernel has written what it used
        incoming["control_length"][: self._used] = _CONTROL_BYTES
        count: int = self._libc.recvmmsg(self._file, self._incoming_at, BATCH, MSG_DONTWAIT, None)
        if count < 0:
            error = ctypes.get_errno()
            if error == errno.EAGAIN:
                return 0
            raise OSError(error, os.strerror(error))
        self._used = count
        self._read_stamps(count)
        return count

    def _read_stamps(self, count: int) -> None:
        """Take the times from the control messages: there is no other kind, but one may be missing."""
        control = self._control[:count]
        stamped = self._incoming["control_length"][:count] == _STAMP_BYTES
        self.stamps_ns[:count] = (control[:, 2] * 1_000_000_000 + control[:, 3]) * stamped


def open_packet_io(sock: socket, packets: NDArray[np.uint8]) -> PacketIO:
    """Return the way to send the rows of `packets` over this socket that costs the least here."""
    if libc := find_libc():
        io = LibcPacketIO(sock, packets, libc)
        with suppress(OSError):  # a sandbox may refuse the call
            io.receive()
            return io
    return PacketIO(sock, packets)


@cache
def find_libc() -> ctypes.CDLL | None:
    """Return libc if it can receive a batch, and lays out its messages as we do."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        struct.calcsize("P") != _VECTOR["base"].itemsize
        or not hasattr(libc, "sendmmsg")
        or not hasattr(libc, "recvmmsg")
    ):
        return None
    return libc  # without argument types: its pointers are prepared, and a call costs less


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
