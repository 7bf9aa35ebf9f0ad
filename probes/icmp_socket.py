"""Opens and prepares ICMP sockets: raw where allowed, else the kernel's unprivileged datagram kind."""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from socket import AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET

from probes.packet import REPLY

RECEIVE_BUFFER = 16 << 20

# Linux constants that the socket module does not name.
SOL_RAW = 255
ICMP_FILTER = 1
ICMP6_FILTER = 1
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
SO_MEMINFO = 55
SO_ATTACH_FILTER = 26
INSTRUCTION = struct.Struct("=HBBI")
_MEMINFO_DROPS = 8 * 4

_PROTOCOL: dict[int, int] = {AF_INET: IPPROTO_ICMP, AF_INET6: IPPROTO_ICMPV6}


class IcmpNotPermitted(Exception):
    """Neither kind of ICMP socket may be opened here; the message says what to set."""

    def __init__(self) -> None:
        super().__init__(
            "no ICMP socket may be opened here: grant CAP_NET_RAW (AmbientCapabilities=CAP_NET_RAW in the"
            " systemd unit, or setcap cap_net_raw+ep on the Python binary), or let this group use"
            " unprivileged ICMP: sysctl -w net.ipv4.ping_group_range='0 2147483647'"
        )


def open_icmp_sockets() -> list[socket.socket]:
    """One socket per address family; IPv6 is left out where this machine has none."""
    sockets = [open_icmp_socket(AF_INET)]
    with contextlib.suppress(OSError, IcmpNotPermitted):
        sockets.append(open_icmp_socket(AF_INET6))
    return sockets


def open_icmp_socket(family: int) -> socket.socket:
    for kind in (SOCK_RAW, SOCK_DGRAM):
        try:
            return socket.socket(family, kind, _PROTOCOL[family])
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                raise
    raise IcmpNotPermitted


def prepare(sock: socket.socket, *, receive_buffer: int = RECEIVE_BUFFER) -> None:
    """Make it non-blocking, with kernel receive times, a large receive buffer, and echo replies alone received."""
    sock.setblocking(False)
    sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        sock.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
    except PermissionError:
        sock.setsockopt(SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)  # the kernel caps it at net.core.rmem_max
    if sock.type != SOCK_RAW:
        sock.bind(("", 0))  # the kernel chooses the identifier and delivers its replies alone
    else:
        receive_only_types(sock, [REPLY[sock.family]])


def receive_only_types(sock: socket.socket, types: Iterable[int]) -> None:
    """Have a raw socket receive these ICMP types alone."""
    if sock.family == AF_INET:
        sock.setsockopt(SOL_RAW, ICMP_FILTER, _filter_accepting(types, words=1))
    else:
        sock.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, _filter_accepting(types, words=8))


def receive_only_replies_to(sock: socket.socket, identifier: int, *, reply: int) -> None:
    """Have a raw socket receive, of all echo replies, those to its own identifier alone.

    So the replies to a sweep are not copied to it. A program for the kernel's classic packet filter.
    """
    program = b"".join(
        INSTRUCTION.pack(*instruction)
        for instruction in (
            (0xB1, 0, 0, 0) if sock.family == AF_INET else (0x01, 0, 0, 0),  # x = where ICMP begins
            (0x50, 0, 0, 0),  # its type
            (0x15, 0, 2, reply),  # no echo reply: accept
            (0x48, 0, 0, 4),  # its identifier
            (0x15, 0, 1, identifier),  # another: drop
            (0x06, 0, 0, 0x40000),
            (0x06, 0, 0, 0),
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_program = struct.pack("@HP", len(program) // INSTRUCTION.size, ctypes.addressof(buffer))
    sock.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, filter_program)


def receive_buffer(sock: socket.socket) -> int:
    return sock.getsockopt(SOL_SOCKET, socket.SO_RCVBUF)


def dropped_packets(sock: socket.socket) -> int:
    """Return how many packets the kernel dropped because this socket's buffer was full (wraps at 32 bits)."""
    info = sock.getsockopt(SOL_SOCKET, SO_MEMINFO, _MEMINFO_DROPS + 4)
    return int(struct.unpack_from("=I", info, _MEMINFO_DROPS)[0])


def _filter_accepting(types: Iterable[int], *, words: int) -> bytes:
    """Return the filter of either family: a bit per ICMP type, set to block it."""
    mask = [0xFFFFFFFF] * words
    for number in types:
        mask[number >> 5] &= ~(1 << (number & 31)) & 0xFFFFFFFF
    return struct.pack(f"={words}I", *mask)
