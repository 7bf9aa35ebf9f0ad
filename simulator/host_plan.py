"""Who is on the network and how each behaves when nothing happens: fixed by the seed and the address."""

import socket
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.script import Behaviour, Script
from simulator.seeded_random import key, mix, share
from simulator.villages import CANARIES


@dataclass(frozen=True, slots=True)
class Host:
    """A site as the network knows it; `code` is the site's, the rest is what a script can select by.

    `parent` is the code of the node that it hangs on, empty where it hangs on none. Behind carrier NAT (`probe`
    is push) no ping reaches it. `down_mbps` and `up_mbps` are what its contract promises, 0 where nothing is known.
    """

    address: str
    technology: str
    code: str = ""
    village_code: str = ""
    provider: str = ""
    kind: str = "access_point"
    parent: str = ""
    probe: str = "icmp"
    down_mbps: float = 0.0
    up_mbps: float = 0.0


@dataclass(frozen=True, slots=True)
class Technology:
    """A healthy link: each host draws its round trip from the range, each packet strays within the jitter."""

    fastest_ms: float
    slowest_ms: float
    jitter_ms: float
    loss_pct: float = 0.0


DEFAULTS: Mapping[str, Technology] = {
    "fiber": Technology(10, 40, 1),
    "radio": Technology(12, 50, 2),
    "cellular": Technology(30, 100, 8, 0.2),
    "leo": Technology(25, 60, 4, 0.2),
    "geo": Technology(550, 700, 15),
}
_CANARY = Technology(2, 2, 0.1)


@dataclass(frozen=True, slots=True)
class Link:
    key: int  # what this address draws its fortunes from
    rtt_ms: float
    jitter_ms: float
    loss_pct: float
    codes: tuple[str, ...]  # the sites behind the address: one, as a rule; a canary has none
    answers: bool = True  # pings from outside

    def delay_ms(self, rtt_ms: float, chance: int) -> float:
        """The round trip of one packet: within the jitter on either side, likelier near than far."""
        spread = (chance & 0x1FFFFF) - (chance >> 21 & 0x1FFFFF)
        return max(rtt_ms + self.jitter_ms * spread / 0x200000, 0.0)

    def loses(self, loss_pct: float, chance: int) -> bool:
        return (chance >> 42) * 100 < loss_pct * 0x400000


class Plan:
    """Built aside (on another thread, if need be) and then taken over by the network in one go."""

    def __init__(self, script: Script, hosts: Iterable[Host]) -> None:
        self.hosts: Sequence[Host] = [host for host in hosts if _is_loopback(host.address)]
        self.links: dict[bytes, Link] = {
            packed(address): _link(script.seed, address, _CANARY, None, ()) for address in CANARIES
        }
        sites: dict[str, list[Host]] = {}
        for host in self.hosts:
            sites.setdefault(host.address, []).append(host)
        for address, there in sites.items():
            technology = there[0].technology
            self.links[packed(address)] = _link(
                script.seed,
                address,
                DEFAULTS.get(technology, DEFAULTS["fiber"]),
                script.technologies.get(technology),
                tuple(host.code for host in there),
                answers=any(host.probe != "push" for host in there),
            )
        self.addresses: dict[str, bytes] = {host.code: packed(host.address) for host in self.hosts}
        self._children: dict[str, list[str]] = defaultdict(list)
        for host in self.hosts:
            if host.parent:
                self._children[host.parent].append(host.code)

    def behind(self, codes: Iterable[str]) -> set[str]:
        """Every site that hangs on one of these, near or far, and is none of them."""
        given = set(codes)
        found: set[str] = set()
        waiting = deque(given)
        while waiting:
            for child in self._children.get(waiting.popleft(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found - given


def packed(address: str) -> bytes:
    return socket.inet_aton(address)


def _link(
    seed: int,
    address: str,
    usual: Technology,
    scripted: Behaviour | None,
    codes: tuple[str, ...],
    *,
    answers: bool = True,
) -> Link:
    own = key(seed, address)
    says = scripted or Behaviour()
    width_ms = usual.slowest_ms - usual.fastest_ms
    return Link(
        key=own,
        rtt_ms=usual.fastest_ms + width_ms * share(mix(own)) if says.rtt_ms is None else says.rtt_ms,
        jitter_ms=usual.jitter_ms if says.jitter_ms is None else says.jitter_ms,
        loss_pct=usual.loss_pct if says.loss_pct is None else says.loss_pct,
        codes=codes,
        answers=answers,
    )


def _is_loopback(address: str) -> bool:
    """Only plain dotted quads of 127.0.0.0/8 can be reached inside; names and the rest stay silent."""
    try:
        socket.inet_pton(socket.AF_INET, address)
    except OSError:
        return False
    return address.startswith("127.")
