"""A raw ping for the tests: one socket, any number of hosts, kernel receive timestamps."""

import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SOL_RAW, _ICMP_FILTER, _SO_TIMESTAMPNS = 255, 1, 35
_HEAD, _STAMP = struct.Struct("!BBHHHI"), struct.Struct("qq")


@dataclass
class Ping:
    address: str
    sent_ns: int
    rtt_ms: float | None = None


def ping(
    handle: socket.socket, rounds: Sequence[Sequence[str]], *, every_s: float, wait_s: float
) -> dict[str, list[Ping]]:
    """Ping a round of addresses each `every_s`; return the pings by address, `rtt_ms` None where lost."""
    _prepare(handle)
    sent: list[Ping] = []
    begun = time.monotonic()
    for number, addresses in enumerate(rounds, 1):
        for address in addresses:
            sent.append(Ping(address, time.time_ns()))
            handle.sendto(_request(len(sent) - 1), (address, 0))
        _collect(handle, sent, until=begun + number * every_s)
    _collect(handle, sent, until=time.monotonic() + wait_s)
    by_address: dict[str, list[Ping]] = defaultdict(list)
    for sent_ping in sent:
        by_address[sent_ping.address].append(sent_ping)
    return by_address


def _prepare(handle: socket.socket) -> None:
    handle.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~1 & 0xFFFFFFFF))
    handle.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)


def _request(number: int) -> bytes:
    plain = _HEAD.pack(8, 0, 0, 7, number & 0xFFFF, number)
    total = sum(struct.unpack("!6H", plain))
    return _HEAD.pack(8, 0, ~(total + (total >> 16)) & 0xFFFF, 7, number & 0xFFFF, number)


def _collect(handle: socket.socket, sent: Sequence[Ping], *, until: float) -> None:
    for packet, sender, stamp_ns in _packets(handle, until):
        assert sum(struct.unpack("!16H", packet[:32])[10:]) % 0xFFFF == 0, "a wrong ICMP checksum"
        answered = sent[_HEAD.unpack(packet[20:32])[-1]]
        assert answered.address == sender, f"{sender} answered for {answered.address}"
        assert answered.rtt_ms is None, "answered twice"
        answered.rtt_ms = (stamp_ns - answered.sent_ns) / 1e6


def _packets(handle: socket.socket, until: float) -> Iterator[tuple[bytes, str, int]]:
    while True:
        handle.settimeout(max(until - time.monotonic(), 0.0))
        try:
            packet, extras, _, sender = handle.recvmsg(1024, 64)
        except (TimeoutError, BlockingIOError):
            return
        seconds, nanoseconds = _STAMP.unpack(extras[0][2])
        yield packet, sender[0], seconds * 1_000_000_000 + nanoseconds
