"""Checks where a probe may go, by the address that will be sent to."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import numpy as np
from numpy.typing import NDArray

from probes.address_ranges import IPv4Ranges
from probes.own_addresses import OwnAddresses

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DENIED_BY_DEFAULT = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",  # a cloud's own services, on a public address
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",  # relays of 6to4, withdrawn
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "100::/64",  # discarded
    "2001:2::/48",  # benchmarks, as 198.18.0.0/15
    "2001:10::/28",  # identifiers, no addresses: ORCHID
    "2001:20::/28",
    "5f00::/16",  # segments of a network's own routing
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",  # site-local, before fc00::/7
    "ff00::/8",
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # the third quarter of an address that tunnels to the IPv4 in the fourth
_6TO4 = IPv6Network("2002::/16")

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_LOCAL_SUFFIXES = (".localhost", ".ip6-localhost", ".ip6-loopback", ".local", ".internal", ".home.arpa")
_CACHED = 200_000


class Forbidden(Exception):
    """The policy refuses this address or spelling; the message says why."""


class AddressPolicy:
    """`allow` wins over `deny` and `own`, this machine's addresses; what none of them names is allowed."""

    def __init__(
        self,
        allow: Iterable[str | Network] = (),
        deny: Iterable[str | Network] = DENIED_BY_DEFAULT,
        own: OwnAddresses | None = None,
    ) -> None:
        self._allow = [_as_network(network) for network in allow]
        self._deny = [_as_network(network) for network in deny]
        self._own = own
        self._allowed_ipv4, self._denied_ipv4 = IPv4Ranges(self._allow), IPv4Ranges(self._deny)
        self._cached_refusal = lru_cache(_CACHED)(self._refusal)

    def check(self, address: str | Address) -> None:
        """Raise Forbidden if probes may not go there."""
        if reason := self._cached_refusal(address) or self._refusal_of_own(address):
            raise Forbidden(reason)

    def permits(self, addresses: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Return for each IPv4 address whether `check` passes it."""
        denied = self._denied_ipv4.contain(addresses)
        if self._own is not None:
            denied |= np.isin(addresses, self._own.ipv4())
        return ~denied | self._allowed_ipv4.contain(addresses)

    def check_host(self, host: str) -> None:
        """Raise Forbidden for a denied address, and for what is neither an address nor a hostname.

        A name passes: the addresses that it resolves to are checked.
        """
        if parse_address(host) is not None:
            self.check(host)
        elif not is_hostname(host):
            raise Forbidden(f"{host!r} is neither an IP address nor a hostname")

    def _refusal(self, address: str | Address) -> str | None:
        parsed = parse_address(address) if isinstance(address, str) else address
        if parsed is None:
            return f"{address!r} is not an IP address"
        if (denied := self._denial_by_network(parsed)) is None:
            return None
        inside, network = denied
        via = "" if inside == parsed else f" (it carries {inside})"
        return f"{parsed}{via} is in {network}, where probes may not go"

    def _refusal_of_own(self, address: str | Address) -> str | None:
        """Not cached: interfaces come and go."""
        parsed = parse_address(address) if isinstance(address, str) else address
        if parsed is None or (denied := self._denied_own(parsed)) is None:
            return None
        return f"{denied[0]} is this machine's own address, where probes may not go"

    def denial(self, address: Address) -> tuple[Address, Network] | None:
        """Return the denied address, itself or one that it carries, and its denied network; None if it is allowed."""
        return self._denial_by_network(address) or self._denied_own(address)

    def _denial_by_network(self, address: Address) -> tuple[Address, Network] | None:
        for inside in _with_carried(address):
            denied = _first_containing(inside, self._deny)
            if denied and not self._is_allowed(address, inside):
                return inside, denied
        return None

    def _denied_own(self, address: Address) -> tuple[Address, Network] | None:
        if self._own is None:
            return None
        for inside in _with_carried(address):
            if inside in self._own and not self._is_allowed(address, inside):
                return inside, ip_network(inside)
        return None

    def _is_allowed(self, address: Address, inside: Address) -> bool:
        return bool(_first_containing(inside, self._allow) or _first_containing(address, self._allow))


@lru_cache(_CACHED)
def parse_address(text: str) -> Address | None:
    """Parse dotted-quad and standard IPv6 spellings alone: no octal, hex, integer or short forms, no scope id."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def canonical_host(text: str) -> str:
    """Return the one spelling of an address (short, mapped IPv4 unwrapped) or a name (lower case, no final dot)."""
    address = parse_address(text)
    if address is None:
        return text.lower().removesuffix(".")
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_hostname(text: str) -> bool:
    """Whether this is a name by RFC 1123; one whose last label is a number (127.1, 0x7f.1) is a disguised address."""
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])


def is_local_name(text: str) -> bool:
    """Whether the name means this machine or its own network, whatever it resolves to (RFC 6761, 6762, 8375)."""
    return f".{text.lower().removesuffix('.')}".endswith(_LOCAL_SUFFIXES)


def _as_network(network: str | Network) -> Network:
    return ip_network(network) if isinstance(network, str) else network


def _first_containing(address: Address, networks: Iterable[Network]) -> Network | None:
    return next((network for network in networks if address in network), None)


def _with_carried(address: Address) -> list[Address]:
    """Return the address and the IPv4 addresses that it carries, if its form is one that carries any."""
    bits = int(address)
    if isinstance(address, IPv4Address):
        return [address]
    if address in _MAPPED or address in _TRANSLATED or address in _NAT64 or (address in _COMPATIBLE and bits > 1):
        return [address, IPv4Address(bits & 0xFFFFFFFF)]
    if address in _6TO4:
        return [address, IPv4Address(bits >> 80 & 0xFFFFFFFF)]
    if address in _LOCAL_NAT64:
        return [address, *_local_nat64(bits)]
    if bits >> 32 & 0xFFFFFFFF in _ISATAP:
        return [address, IPv4Address(bits & 0xFFFFFFFF)]
    if address.teredo:
        return [address, *address.teredo]  # its server and its client
    return [address]


def _local_nat64(bits: int) -> Iterable[IPv4Address]:
    """Return the IPv4 addresses that RFC 6052 may place below a /48: after 48, 56, 64 or 96 bits, bits 64-71 left out.

    Which one a network uses cannot be seen from outside: every one with an empty rest counts.
    """
    without_gap = (bits >> 64 << 56) | (bits & (1 << 56) - 1)
    for prefix in (48, 56, 64):
        below = 120 - prefix - 32
        if not without_gap & (1 << below) - 1:
            yield IPv4Address(without_gap >> below & 0xFFFFFFFF)
    if bits & 0xFFFFFFFF:
        yield IPv4Address(bits & 0xFFFFFFFF)
