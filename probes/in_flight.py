"""Records of an echo sweep while its packets are in flight: one per host, none per packet."""

import asyncio
import socket
from dataclasses import dataclass
from socket import AF_INET, SOCK_RAW
from typing import NamedTuple

from probes import icmp_socket
from probes.packet import EchoFormat

LONGEST_S = 3600
UNANSWERED = -1
STEP_NS = 10_000_000  # clocks that diverge by more than this have been set, not slewed


@dataclass(slots=True)
class Ping:
    """One host's share of a sweep."""

    address: str  # a literal IPv4 or IPv6 address
    count: int = 3
    spacing_s: float = 1.0
    timeout_s: float = 2.0

    def problem(self) -> str | None:
        if self.count >= 1 and 0 <= self.spacing_s <= LONGEST_S and 0 < self.timeout_s <= LONGEST_S:
            return None
        return f"count must be 1 or more, spacing 0 to {LONGEST_S} s, timeout above 0 to {LONGEST_S} s"


class Pong(NamedTuple):
    """`sent` packets left and were listened for; `faults` did not leave, or their answer was dropped here."""

    address: str
    sent: int
    faults: int
    rtts_ns: list[int]  # one per answer, in the order of sending
    reason: str | None = None  # of the last fault


@dataclass(slots=True)
class Counters:
    """Since the engine opened."""

    sent: int = 0
    received: int = 0
    duplicates: int = 0
    late: int = 0
    foreign: int = 0  # not ours, or not from the address that was pinged
    malformed: int = 0
    drops: int = 0  # answers the kernel had no room for
    send_errors: int = 0
    receive_errors: int = 0


class EchoSocket:
    """One prepared ICMP socket with its packet format."""

    def __init__(self, sock: socket.socket) -> None:
        icmp_socket.prepare(sock)
        self.sock = sock
        self.raw = sock.type == SOCK_RAW
        self.format = EchoFormat(sock.family, sock.type)
        self.drops = icmp_socket.dropped_packets(sock)


class EchoSweep:
    """Hosts pinged together; `future` is done once no packet is open."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.open = 0

    def close_packet(self) -> None:
        self.open -= 1
        if not self.open and not self.future.done():
            self.future.set_result(None)


class HostInFlight:
    __slots__ = (
        "address",
        "count",
        "faults",
        "next",
        "reason",
        "rtts_ns",
        "socket",
        "spacing_ns",
        "sweep",
        "timeout_ns",
        "to",
        "tries",
    )

    def __init__(self, sweep: EchoSweep, echo_socket: EchoSocket, address: str, ping: Ping) -> None:
        self.sweep = sweep
        self.socket = echo_socket
        self.address = address  # as the kernel spells a reply's source
        self.to = (address, 0)
        self.count = ping.count
        self.spacing_ns = int(ping.spacing_s * 1e9)
        self.timeout_ns = int(ping.timeout_s * 1e9)
        self.next = 0  # the packet that comes next
        self.tries = 0  # of that packet
        self.faults = 0
        self.reason: str | None = None
        self.rtts_ns = [UNANSWERED] * ping.count

    def pong(self, *, dropped: bool) -> Pong:
        """Return the result once no packet is open; `dropped`: an answer may be among what the kernel dropped."""
        rtts = [rtt for rtt in self.rtts_ns if rtt != UNANSWERED]
        faults, reason = self.faults, self.reason
        unanswered = self.count - faults - len(rtts)
        if dropped and unanswered:
            faults += unanswered
            reason = "the receive buffer overflowed: answers may have been dropped here"
        return Pong(self.address, self.count - faults, faults, rtts, reason)


def canonical_address(address: str) -> tuple[int, str] | None:
    """Return a literal address's family and its spelling as a reply's source; None if it is no address."""
    family = socket.AF_INET6 if ":" in address else AF_INET
    try:
        return family, socket.inet_ntop(family, socket.inet_pton(family, address))
    except (OSError, ValueError):
        return None


def round_trip_ns(sent: tuple[int, int], received_wall: int, now: tuple[int, int]) -> int:
    """Return the round trip by the kernel's receive time, by the monotonic clock if the wall clock was set meanwhile.

    `sent` and `now` are (wall, monotonic) readings; `now` was taken after the packet was read.
    """
    sent_wall, sent_mono = sent
    now_wall, now_mono = now
    elapsed = now_mono - sent_mono
    rtt = received_wall - sent_wall
    if -STEP_NS < now_wall - sent_wall - elapsed < STEP_NS and rtt >= 0:
        return rtt
    return elapsed
