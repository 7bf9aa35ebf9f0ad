"""Suggest the cause of an outage from evidence alone; a person confirms or overrides it. Pure."""

from dataclasses import dataclass

from app.registry.models import Cause


@dataclass(frozen=True, slots=True)
class DeviceUptime:
    """A device's uptime when its site answered again, and the longest that the outage can have lasted."""

    uptime_s: float
    outage_s: float


def hint(*, shared: bool, device: DeviceUptime | None = None) -> Cause | None:
    """Return provider for a shared incident, power if the device restarted during the outage, link if it kept running.

    None if nothing is known of the device.
    """
    if shared:
        return Cause.PROVIDER
    if device is None:
        return None
    return Cause.POWER if device.uptime_s < device.outage_s else Cause.LINK
