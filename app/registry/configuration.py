"""The part of a site's dated configuration that decides how its seconds are counted."""

from dataclasses import dataclass

from app.core.daily_window import DailyWindow
from app.registry.models import SiteKind


@dataclass(frozen=True, slots=True)
class ConfigurationInForce:
    """A site's settings between two changes of them: whether in service, whose, how connected, where, and as what.

    `open_hours`: of a site whose device is present only at times, when it is to be; (): nobody said.
    """

    active: bool
    provider_id: int = 0
    technology: str = ""
    village_code: str = ""
    kind: SiteKind = SiteKind.ACCESS_POINT
    open_hours: tuple[DailyWindow, ...] = ()
