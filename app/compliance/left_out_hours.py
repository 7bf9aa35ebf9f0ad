"""When the looks of a site do not count: maintenance, causes that its contract excludes, outside its service hours.

An hour that such a stretch touches is left out whole, with the good looks in it: looks are counted by the hour.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import maintenance_overlay
from app.availability.intervals import IntervalMap, clip
from app.availability.policy import ContractPolicy, policies_in_force
from app.availability.site_history import DatedConfigurations, load_policies
from app.core.clock import to_slot
from app.core.periods import Period
from app.incidents.outage_causes import CauseRange, causes_of


class LeftOut(NamedTuple):
    """A stretch of a site's time, in slots."""

    site_id: int
    start: int
    end: int


async def left_out_stretches(
    session: AsyncSession, dated: Mapping[int, DatedConfigurations], period: Period
) -> list[LeftOut]:
    """Return the stretches of these sites, by the terms of the primary link's contract."""
    site_ids = list(dated)
    policies = {site_id: of_site[0] for site_id, of_site in (await load_policies(session, dated)).items() if of_site}
    windows = await maintenance_overlay.windows_of(session, site_ids, period.start, period.end)
    causes = await causes_of(session, site_ids, period.start, period.end)
    stretches = [
        LeftOut(site_id, to_slot(start), to_slot(end)) for site_id, ranges in windows.items() for start, end in ranges
    ]
    for site_id, of_site in policies.items():
        stretches += _outside_hours(site_id, of_site, period)
        for cause in causes.get(site_id, ()):
            stretches += _excluded(site_id, of_site, cause)
    return stretches


def _outside_hours(site_id: int, policies: IntervalMap[ContractPolicy], period: Period) -> Iterator[LeftOut]:
    limited: IntervalMap[ContractPolicy] = [each for each in policies if each[2].service_from is not None]
    for start, end, in_force in policies_in_force(limited, to_slot(period.start), to_slot(period.end)):
        if not in_force.in_service_hours:
            yield LeftOut(site_id, start, end)


def _excluded(site_id: int, policies: IntervalMap[ContractPolicy], cause: CauseRange) -> Iterator[LeftOut]:
    for start, end, policy in clip(policies, to_slot(cause.started_at), to_slot(cause.ended_at)):
        if cause.cause.value in policy.excluded_causes:
            yield LeftOut(site_id, start, end)
