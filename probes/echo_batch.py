"""Columns that go into an echo sweep and come out of it: one row a host, no object a packet."""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from probes.in_flight import LONGEST_S, Ping, Pong

NO_ADDRESS = 0  # the family of a text that is no address
UNANSWERED = -1

# `struct sockaddr_in` and `sockaddr_in6`, padded to 32 bytes.
SOCKADDR = np.dtype(
    [("family", "=u2"), ("port", ">u2"), ("ipv4", "=u4"), ("ipv6", "=u8", (2,)), ("scope", "=u4"), ("", "=u4")]
)
Addresses = NDArray[np.void]  # of SOCKADDR


@dataclass(frozen=True, slots=True, eq=False)
class PingBatch:
    """Row i is one host's share of a sweep. A row that makes no sense is a fault with its reason."""

    to: Addresses  # of `prepare_addresses`
    count: NDArray[np.int32]
    spacing_ns: NDArray[np.int64]
    timeout_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.to)

    @classmethod
    def of(cls, pings: Sequence[Ping]) -> Self:
        return cls(
            to=prepare_addresses([ping.address for ping in pings]),
            count=np.array([ping.count for ping in pings], np.int32),
            spacing_ns=nanoseconds(ping.spacing_s for ping in pings),
            timeout_ns=nanoseconds(ping.timeout_s for ping in pings),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PongBatch:
    """Row i is the result of row i of the PingBatch."""

    sent: NDArray[np.int32]  # packets that left and were listened for
    faults: NDArray[np.int32]  # packets that did not leave, or whose answer was dropped here
    rtts_ns: NDArray[np.int64]  # (n, width): a packet a column in the order of sending; -1 unanswered
    reasons: dict[int, str] = field(default_factory=dict)  # row: the reason of its last fault

    @property
    def received(self) -> NDArray[np.int64]:
        answered: NDArray[np.int64] = np.count_nonzero(self.rtts_ns != UNANSWERED, axis=1)
        return answered


def prepare_addresses(texts: Iterable[str]) -> Addresses:
    """Return the socket address of each literal IPv4 or IPv6 address; family NO_ADDRESS for any other text."""
    return np.array([_sockaddr(text) for text in texts], SOCKADDR)


def nanoseconds(seconds: Iterable[float]) -> NDArray[np.int64]:
    """Return -1 for what is no time within the limits."""
    return np.array([int(s * 1e9) if 0 <= s <= LONGEST_S else -1 for s in seconds], np.int64)


def _sockaddr(text: str) -> tuple[Any, ...]:
    family = AF_INET6 if ":" in text else AF_INET
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError):
        return (NO_ADDRESS, 0, 0, (0, 0), 0, 0)
    words = np.frombuffer(packed, np.uint32 if family == AF_INET else np.uint64).tolist()
    return (family, 0, words[0], (0, 0), 0, 0) if family == AF_INET else (family, 0, 0, tuple(words), 0, 0)


def address_text(to: np.void) -> str:
    """Return how the kernel spells it."""
    if to["family"] == AF_INET6:
        return socket.inet_ntop(AF_INET6, to["ipv6"].tobytes())
    return socket.inet_ntop(AF_INET, to["ipv4"].tobytes())


def pong_batch(pongs: Sequence[Pong], width: int) -> PongBatch:
    rtts_ns = np.full((len(pongs), width), UNANSWERED, np.int64)
    for row, pong in enumerate(pongs):
        rtts_ns[row, : len(pong.rtts_ns)] = pong.rtts_ns
    return PongBatch(
        sent=np.array([pong.sent for pong in pongs], np.int32),
        faults=np.array([pong.faults for pong in pongs], np.int32),
        rtts_ns=rtts_ns,
        reasons={row: pong.reason for row, pong in enumerate(pongs) if pong.reason},
    )
