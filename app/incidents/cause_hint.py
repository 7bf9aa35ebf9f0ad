"""What the evidence alone suggests as the cause of an outage: a person confirms or knows better. Pure."""

from dataclasses import dataclass

from app.registry.models import Cause


@dataclass(frozen=True, slots=True)
class Return:
    """`uptime_s` is what the site's device had when it was back, `outage_s` how long it may have been away."""

    uptime_s: float
    outage_s: float


def hint(*, shared: bool, back: Return | None = None) -> Cause | None:
    """Up for shorter than it was away: its power was off meanwhile. For longer: it ran, and only its link was gone."""
    if shared:
        return Cause.PROVIDER
    if back is None:
        return None
    return Cause.POWER if back.uptime_s < back.outage_s else Cause.LINK
