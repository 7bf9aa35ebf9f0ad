"""Suggest the cause of an outage from evidence alone; a person confirms or overrides it. Pure.

All evidence here is the account of the site's own device. What failed first decides: who pulls a cable while the link
is out changes nothing by it. Where later looks speak against what failed first, nothing is suggested.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.incidents.near_cause import NearCause
from app.registry.models import Cause

SETTLING = timedelta(minutes=10)  # a terminal that had no power needs some minutes until its link is back


@dataclass(frozen=True, slots=True)
class DeviceUptime:
    """A device's uptime when its site answered again, and the longest that the outage can have lasted."""

    uptime_s: float
    outage_s: float

    @property
    def restarted(self) -> bool:
        return self.uptime_s < self.outage_s


@dataclass(frozen=True, slots=True)
class NearEvidence:
    """What was near the device in an outage that ended, by stretches in order of time; each lasts until the next."""

    causes: tuple[NearCause, ...]
    ended_at: datetime

    def lasted(self, cause: Cause) -> timedelta:
        ends = [*(following.started_at for following in self.causes[1:]), self.ended_at]
        spans = [end - told.started_at for told, end in zip(self.causes, ends, strict=True) if told.cause is cause]
        return sum(spans, timedelta())


def hint(*, shared: bool, device: DeviceUptime | None = None, near: NearEvidence | None = None) -> Cause | None:
    """Return provider for a shared incident, else what the device's own account speaks for, or None.

    Without looks at what lies near: power if the device restarted during the outage, link if it kept running.
    """
    if shared:
        return Cause.PROVIDER
    if near is not None and near.causes:
        return _by_looks(near, device)
    if device is None:
        return None
    return Cause.POWER if device.restarted else Cause.LINK


def _by_looks(near: NearEvidence, device: DeviceUptime | None) -> Cause | None:
    first, link = near.causes[0], near.lasted(Cause.LINK)
    if device is not None and device.restarted:
        booted_at = near.ended_at - timedelta(seconds=device.uptime_s)
        if first.started_at >= booted_at:  # nothing was measured before it restarted
            dark = timedelta(seconds=device.outage_s - device.uptime_s)
            return None if link > max(dark, SETTLING) else Cause.POWER
    if first.cause is Cause.LINK:
        return Cause.LINK
    return None if link > near.lasted(first.cause) else first.cause
