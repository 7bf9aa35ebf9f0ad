"""What the evidence alone suggests as the cause of an outage: a person confirms or knows better. Pure."""

from app.registry.models import Cause


def hint(*, shared: bool, uptime_s: int | None = None, outage_s: int | None = None) -> Cause | None:
    """`uptime_s` is what the site's agent says when it is back: shorter than the outage means its power was off."""
    if shared:
        return Cause.PROVIDER
    if uptime_s is None or outage_s is None:
        return None
    return Cause.POWER if uptime_s < outage_s else Cause.LINK
