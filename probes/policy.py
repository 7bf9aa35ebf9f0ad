"""Checks where a probe may go, by the address that will be sent to."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DENIED_BY_DEFAULT = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_6TO4 = IPv6Network("2002::/16")

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_LOCAL_SUFFIXES = (".localhost", ".ip6-localhost", ".ip6-loopback", ".local", ".internal", ".home.arpa")
_CACHED = 200_000


class Forbidden(Exception):
    """The policy refuses this address or spelling; the message says why."""


class AddressPolicy:
    """`allow` wins over `deny`; what neither names is allowed."""

    def __init__(
        self,
        allow: Iterable[str | Network] = (),
        deny: Iterable[str | Network] = DENIED_BY_DEFAULT,
    ) -> None:
        self._allow = [_as_network(network) for network in allow]
        self._deny = [_as_network(network) for network in deny]
        self._cached_refusal = lru_cache(_CACHED)(self._refusal)

    def check(self, address: str | Address) -> None:
        """Raise Forbidden if probes may not go there."""
        if reason := self._cached_refusal(address):
            raise Forbidden(reason)

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
        if (denied := self.denial(parsed)) is None:
            return None
        inside, network = denied
        via = "" if inside == parsed else f" (it carries {inside})"
        return f"{parsed}{via} is in {network}, where probes may not go"

    def denial(self, address: Address) -> tuple[Address, Network] | None:
        """Return the denied address, itself or one that it carries, and its denied network; None if it is allowed."""
        for inside in _with_carried(address):
            denied = _first_containing(inside, self._deny)
            if denied and not _first_containing(inside, self._allow) and not _first_containing(address, self._allow):
                return inside, denied
        return None


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
    if address in _MAPPED or address in _NAT64 or (address in _COMPATIBLE and bits > 1):
        return [address, IPv4Address(bits & 0xFFFFFFFF)]
    if address in _6TO4:
        return [address, IPv4Address(bits >> 80 & 0xFFFFFFFF)]
    if address in _LOCAL_NAT64:
        return [address, *_local_nat64(bits)]
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
