"""Targets as columns: what is due together is probed as one block."""

from collections.abc import Sequence
from dataclasses import dataclass
from socket import AF_INET, inet_ntop, inet_pton
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from probes.contract import ProbeKind, Target
from probes.echo_batch import Ping, PingBatch
from probes.policy import parse_address
from probes.sockaddr import NO_ADDRESS


@dataclass(frozen=True, slots=True, eq=False)
class TargetBlock:
    """Row i is one target. `to` is the address of an icmp target that is given by one: all else is in `others`."""

    key: NDArray[np.int32]
    slot: NDArray[np.int64]
    valid_s: NDArray[np.int32]
    pings: PingBatch  # without an address: where there is more to do than to ping
    others: Sequence[Target]  # those without an address in `pings`, in the order of their rows

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def of(cls, targets: Sequence[Target]) -> Self:
        pings = PingBatch.of(
            [Ping(literal_address(target), target.packets, target.spacing_s, target.timeout_s) for target in targets]
        )
        has_address = pings.to["family"] != NO_ADDRESS
        return cls(
            key=np.array([target.key for target in targets], np.int32),
            slot=np.array([target.slot for target in targets], np.int64),
            valid_s=np.array([target.valid_s for target in targets], np.int32),
            pings=pings,
            others=[targets[row] for row in np.flatnonzero(~has_address).tolist()],
        )

    @property
    def has_address(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.pings.to["family"] != NO_ADDRESS
        return mask

    def longest_s(self) -> float:
        """Return how long the longest probe takes at most."""
        pings = self.pings
        longest_ns = (np.maximum(pings.count - 1, 0) * pings.spacing_ns + pings.timeout_ns).max(initial=0)
        return float(longest_ns) / 1e9

    def direct(self) -> Self:
        """Return the targets with an address."""
        rows, pings = self.has_address, self.pings
        if rows.all():
            return self
        return type(self)(self.key[rows], self.slot[rows], self.valid_s[rows], take_pings(pings, rows), [])


def take_pings(pings: PingBatch, rows: NDArray[Any]) -> PingBatch:
    return PingBatch(pings.to[rows], pings.count[rows], pings.spacing_ns[rows], pings.timeout_ns[rows])


def literal_address(target: Target) -> str:
    """Return the address of an icmp target that needs no lookup and no unwrapping; "" for any other."""
    if target.kind is not ProbeKind.ICMP:
        return ""
    if ":" not in target.host:
        return target.host if is_dotted_quad(target.host) else ""
    address = parse_address(target.host)
    return "" if address is None or getattr(address, "ipv4_mapped", None) else target.host


def is_dotted_quad(text: str) -> bool:
    """Whether `parse_address` reads an IPv4 address in it; many times as fast."""
    try:
        return inet_ntop(AF_INET, inet_pton(AF_INET, text)) == text
    except (OSError, ValueError):
        return False
