"""The part of a site's dated configuration that decides how its seconds are counted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigurationInForce:
    """A site's settings between two changes of them: whether it was in service, whose, how connected, and where."""

    active: bool
    provider_id: int = 0
    technology: str = ""
    village_code: str = ""
