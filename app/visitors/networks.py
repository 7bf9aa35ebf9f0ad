"""The networks that visitors and sites come from: /24 of IPv4, /48 of IPv6. They are compared, and shown to nobody."""

from collections.abc import Collection
from ipaddress import ip_address, ip_network

from app.visitors.models import VisitNetwork

BITS = {4: 24, 6: 48}


def network_of(address: str | None) -> str | None:
    """Return the network of an address; None for what is none (a Unix socket's peer, a test client, a host name)."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    shown = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ip_network((int(shown), BITS[shown.version]), strict=False))


def classify(network: str | None, of_site: Collection[str]) -> VisitNetwork:
    """Return where a request came from, as seen from the site's own networks."""
    if not of_site:
        return VisitNetwork.UNKNOWN
    return VisitNetwork.SAME if network in of_site else VisitNetwork.OTHER
