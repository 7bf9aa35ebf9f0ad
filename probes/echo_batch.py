"""Columns that go into an echo sweep and come out of it: one row a host, no object a packet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from probes.sockaddr import NO_ADDRESS, Addresses, prepare_addresses

__all__ = ["Counters", "Ping", "PingBatch", "Pong", "PongBatch", "prepare_addresses"]

LONGEST_S = 3600
MOST_PACKETS = 100_000  # to one host
UNANSWERED = -1


@dataclass(slots=True)
class Ping:
    """One host's share of a sweep."""

    address: str  # a literal IPv4 or IPv6 address
    count: int = 3
    spacing_s: float = 1.0
    timeout_s: float = 2.0


class Pong(NamedTuple):
    """`sent` packets left and were listened for; `faults` did not leave, or their answer was dropped here."""

    address: str
    sent: int
    faults: int
    rtts_ns: list[int]  # one per answer, in the order of sending
    reason: str | None = None  # of the last fault


@dataclass(frozen=True, slots=True, eq=False)
class PingBatch:
    """Row i is one host's share of a sweep. A row that makes no sense is a fault with its reason."""

    to: Addresses
    count: NDArray[np.int32]
    spacing_ns: NDArray[np.int64]
    timeout_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.to)

    @classmethod
    def of(cls, pings: Sequence[Ping]) -> Self:
        return cls(
            to=prepare_addresses([ping.address for ping in pings]),
            count=np.array([min(max(ping.count, 0), MOST_PACKETS + 1) for ping in pings], np.int32),
            spacing_ns=_nanoseconds(ping.spacing_s for ping in pings),
            timeout_ns=_nanoseconds(ping.timeout_s for ping in pings),
        )

    @classmethod
    def alike(cls, to: Addresses, ping: Ping) -> Self:
        """Return a batch that pings all addresses as `ping` says."""
        one, hosts = cls.of([ping]), len(to)
        return cls(
            to,
            one.count.repeat(hosts),
            spacing_ns=one.spacing_ns.repeat(hosts),
            timeout_ns=one.timeout_ns.repeat(hosts),
        )

    def by_kind(self) -> Iterator[tuple["PingKind", NDArray[np.int64]]]:
        """Yield the rows of each kind."""
        kinds = np.stack([self.to["family"], self.count, self.spacing_ns, self.timeout_ns], axis=1)
        if not len(kinds):
            return
        if (kinds == kinds[0]).all():
            yield PingKind(*kinds[0].tolist()), np.arange(len(kinds))
            return
        rows: dict[tuple[int, ...], list[int]] = {}
        for row, kind in enumerate(kinds.tolist()):
            rows.setdefault(tuple(kind), []).append(row)
        for each, of_kind in rows.items():
            yield PingKind(*each), np.array(of_kind)


class PingKind(NamedTuple):
    """What rows of a batch may have in common."""

    family: int
    packets: int
    spacing_ns: int
    timeout_ns: int

    def problem(self) -> str | None:
        """Return why such rows make no sense, None if they do."""
        longest_ns = LONGEST_S * 1_000_000_000
        is_counted, is_spaced = 1 <= self.packets <= MOST_PACKETS, 0 <= self.spacing_ns <= longest_ns
        if not (is_counted and is_spaced and 0 < self.timeout_ns <= longest_ns):
            return NONSENSE
        return "not an address" if self.family == NO_ADDRESS else None


NONSENSE = f"count must be 1 to {MOST_PACKETS:,}, spacing 0 to {LONGEST_S} s, timeout above 0 to {LONGEST_S} s"


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

    def take(self, rows: slice) -> Self:
        """Return consecutive rows."""
        numbers = range(len(self.sent))[rows]
        reasons = (
            {row - numbers.start: self.reasons[row] for row in numbers if row in self.reasons} if self.reasons else {}
        )
        return replace(
            self, sent=self.sent[rows], faults=self.faults[rows], rtts_ns=self.rtts_ns[rows], reasons=reasons
        )

    def answers(self, ns_per_unit: int = 1) -> list[list[Any]]:
        """Return each row's answered round trips alone: whole nanoseconds, or so many of them a unit."""
        rows: list[list[Any]] = (self.rtts_ns if ns_per_unit == 1 else self.rtts_ns / ns_per_unit).tolist()
        for row in np.flatnonzero((self.rtts_ns == UNANSWERED).any(axis=1)).tolist():
            rows[row] = [rtt for rtt in rows[row] if rtt >= 0]
        return rows


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


def _nanoseconds(seconds: Iterable[float]) -> NDArray[np.int64]:
    """Return -1 for what is no time within the limits."""
    return np.array([int(s * 1e9) if 0 <= s <= LONGEST_S else -1 for s in seconds], np.int64)
