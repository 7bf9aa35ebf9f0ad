"""The looks of a site's 24 hours by hour: those within its technology's limit, less the hours that are left out."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.site_history import DatedConfigurations
from app.compliance.left_out_hours import left_out_stretches
from app.compliance.shares import Share
from app.core.clock import to_slot
from app.core.periods import Period, Step
from app.latency import looks
from app.latency.look_counts import LOOK_BOUNDS_MS


@dataclass(slots=True)
class LooksOfHour:
    """Looks that count; those `lost` are among them. `left_out` are not."""

    looks: int = 0
    within: int = 0
    lost: int = 0
    left_out: int = 0

    @property
    def share(self) -> Share:
        return Share(self.looks, self.within)


async def looks_by_hour(
    session: AsyncSession, site_id: int, dated: DatedConfigurations, period: Period, limit_ms: int
) -> list[LooksOfHour]:
    """Return the looks of each hour of the period; one that maintenance or the contract touches is left out."""
    counted = await looks.hours_of_site(session, site_id, period)
    left_out = await left_out_stretches(session, {site_id: dated}, period)
    bound = LOOK_BOUNDS_MS.index(limit_ms)
    hours = []
    for hour in period.split(Step.HOUR):
        low, high = to_slot(hour.start), to_slot(hour.end)
        found = counted.get(hour.start, looks.HourOfLooks(0, 0, [0] * len(LOOK_BOUNDS_MS)))
        if any(stretch.start < high and stretch.end > low for stretch in left_out):
            hours.append(LooksOfHour(left_out=found.looks))
        else:
            hours.append(LooksOfHour(found.looks, found.within[bound], found.lost))
    return hours


def sum_looks(hours: Iterable[LooksOfHour]) -> LooksOfHour:
    whole = LooksOfHour()
    for hour in hours:
        whole.looks += hour.looks
        whole.within += hour.within
        whole.lost += hour.lost
        whole.left_out += hour.left_out
    return whole
