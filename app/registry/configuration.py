"""The part of a site's dated configuration that decides how its seconds are counted."""

from dataclasses import dataclass

from app.registry.models import SiteKind


@dataclass(frozen=True, slots=True)
class ConfigurationInForce:
    """A site's settings between two changes of them: whether in service, whose, how connected, where, and as what."""

    active: bool
    provider_id: int = 0
    technology: str = ""
    village_code: str = ""
    kind: SiteKind = SiteKind.ACCESS_POINT
