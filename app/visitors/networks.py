"""How the network of a visitor's request stands to those of a site. Pure. They are compared, and shown to nobody."""

from collections.abc import Collection

from app.visitors.models import VisitNetwork


def classify(network: str | None, of_site: Collection[str]) -> VisitNetwork:
    """Return where a request came from, as seen from the site's own networks."""
    if not of_site:
        return VisitNetwork.UNKNOWN
    return VisitNetwork.SAME if network in of_site else VisitNetwork.OTHER
