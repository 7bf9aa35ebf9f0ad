"""Addresses of clients, and the networks that they belong to: by these they are limited, counted and compared. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

BITS = {4: 24, 6: 48}


def canonical(address: str | None) -> str | None:
    """Return an address in its shortest spelling, None for what is none (a Unix socket's peer, a test client)."""
    parsed = _parse(address)
    return None if parsed is None else str(parsed)


def network_of(address: str | None) -> str | None:
    """Return the network of an address, /24 of IPv4 or /48 of IPv6; None for what is none."""
    parsed = _parse(address)
    return None if parsed is None else str(ip_network((int(parsed), BITS[parsed.version]), strict=False))


def limit_key(address: str | None) -> str:
    """Return whom a limit counts together: an IPv4 address, a /64 of IPv6, or "unknown"."""
    parsed = _parse(address)
    if parsed is None or parsed.version == 4:
        return "unknown" if parsed is None else str(parsed)
    return str(ip_network((int(parsed), 64), strict=False))


def _parse(address: str | None) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
