"""The hosts on the simulated network and their links when nothing happens: fixed by the seed and the address."""

import socket
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.link_defaults import CANARY, DEFAULTS, LinkDefaults
from simulator.script import LinkBehaviour, Script
from simulator.seeded_random import key, mix, share
from simulator.villages import CANARIES


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """A site on the simulated network; `code` is the site's, the other fields are what a script can select by.

    `parent` is the code of the node above it, empty for none. Behind carrier NAT (`probe` is push) no ping reaches it.
    `down_mbps` and `up_mbps` are the contracted rates, 0 where unknown.
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
class Link:
    key: int  # seeds the random draws of this address
    rtt_ms: float
    jitter_ms: float
    loss_pct: float
    codes: tuple[str, ...]  # the sites at the address: usually one; none for a canary
    answers: bool = True  # to pings from outside

    def delay_ms(self, rtt_ms: float, chance: int) -> float:
        """Return the round trip of one packet: within the jitter on either side, more likely near than far."""
        spread = (chance & 0x1FFFFF) - (chance >> 21 & 0x1FFFFF)
        return max(rtt_ms + self.jitter_ms * spread / 0x200000, 0.0)

    def loses(self, loss_pct: float, chance: int) -> bool:
        return (chance >> 42) * 100 < loss_pct * 0x400000


class HostPlan:
    """The links by packed address, and the tree of sites. Immutable: the network replaces it as a whole."""

    def __init__(self, script: Script, hosts: Iterable[SimulatedHost]) -> None:
        self.hosts: Sequence[SimulatedHost] = [host for host in hosts if _is_loopback(host.address)]
        self.links: dict[bytes, Link] = {
            pack_address(address): _link(script.seed, address, CANARY, None, ()) for address in CANARIES
        }
        sites: dict[str, list[SimulatedHost]] = {}
        for host in self.hosts:
            sites.setdefault(host.address, []).append(host)
        for address, there in sites.items():
            technology = there[0].technology
            self.links[pack_address(address)] = _link(
                script.seed,
                address,
                DEFAULTS.get(technology, DEFAULTS["fiber"]),
                script.technologies.get(technology),
                tuple(host.code for host in there),
                answers=any(host.probe != "push" for host in there),
            )
        self.addresses: dict[str, bytes] = {host.code: pack_address(host.address) for host in self.hosts}
        self._children: dict[str, list[str]] = defaultdict(list)
        for host in self.hosts:
            if host.parent:
                self._children[host.parent].append(host.code)

    def descendants(self, codes: Iterable[str]) -> set[str]:
        """Return the sites below these in the tree, without these."""
        roots = set(codes)
        below: set[str] = set()
        waiting = deque(roots)
        while waiting:
            for child in self._children.get(waiting.popleft(), ()):
                if child not in below:
                    below.add(child)
                    waiting.append(child)
        return below - roots


def pack_address(address: str) -> bytes:
    return socket.inet_aton(address)


def _link(
    seed: int,
    address: str,
    defaults: LinkDefaults,
    scripted: LinkBehaviour | None,
    codes: tuple[str, ...],
    *,
    answers: bool = True,
) -> Link:
    link_key = key(seed, address)
    behaviour = scripted or LinkBehaviour()
    width_ms = defaults.slowest_ms - defaults.fastest_ms
    return Link(
        key=link_key,
        rtt_ms=defaults.fastest_ms + width_ms * share(mix(link_key)) if behaviour.rtt_ms is None else behaviour.rtt_ms,
        jitter_ms=defaults.jitter_ms if behaviour.jitter_ms is None else behaviour.jitter_ms,
        loss_pct=defaults.loss_pct if behaviour.loss_pct is None else behaviour.loss_pct,
        codes=codes,
        answers=answers,
    )


def _is_loopback(address: str) -> bool:
    """Return whether the simulated network can answer for it: plain dotted quads of 127.0.0.0/8 alone."""
    try:
        socket.inet_pton(socket.AF_INET, address)
    except OSError:
        return False
    return address.startswith("127.")
