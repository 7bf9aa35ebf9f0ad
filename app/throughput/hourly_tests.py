"""Speed tests each hour of a certificate's 24 hours (app/certificates), inside the month's budget.

They take no more than leaves half an even share of the budget for each day to come, so that no certificate empties a
village's month. They do not count in the published method: whoever asks for certificates must not weigh its samples.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight, month_of
from app.throughput.budget import DAY_S, GOLDEN_RATIO, HOUR_S, Allowance, month_end
from app.throughput.planner import SpeedtestSite

LATEST_IN_HOUR_S = 1_800  # so that a test that waits begins within its hour
MIN_SPACING_S = 900  # a test that waited is not followed by the next hour's at once
KEPT_SHARE = 0.5

RUNNING = text("""
    SELECT site_id, started_at, ended_at FROM certificate
    WHERE status = 'running' AND started_at <= :until AND ended_at > :after
""")


class HourlyTest(NamedTuple):
    """A test that is planned for a certificate."""

    site: SpeedtestSite
    planned_at: datetime
    waits_until: datetime


async def due_tests(
    session: AsyncSession, sites: Mapping[int, SpeedtestSite], after: datetime, until: datetime
) -> list[HourlyTest]:
    """Return the tests planned in (after, until] of certificates that run; none outside of a site's allowed hours."""
    rows = await session.execute(RUNNING, {"after": after, "until": until})
    return [
        HourlyTest(site, moment, waits_until)
        for row in rows
        if (site := sites.get(row.site_id)) is not None
        for moment, waits_until in _moments(row, site)
        if after < moment <= until and is_allowed(site.allowance, moment)
    ]


def _moments(row: Any, site: SpeedtestSite) -> Iterator[tuple[datetime, datetime]]:
    """Yield the test of each hour, at the site's own phase, with the end of its hour."""
    hour, into = row.started_at, timedelta(seconds=int(site.id * GOLDEN_RATIO % 1 * LATEST_IN_HOUR_S))
    while hour < row.ended_at:
        end = hour + timedelta(hours=1)
        yield hour + into, end - timedelta(seconds=1)
        hour = end


def is_allowed(allowance: Allowance, moment: datetime) -> bool:
    """Whether the moment lies within the hours in which the site may be tested."""
    local = moment.astimezone(WITA)
    since_s = (local.hour * HOUR_S + local.minute * 60 + local.second - allowance.hours[0] * HOUR_S) % DAY_S
    return since_s < allowance.open_s


def kept_bytes(allowance: Allowance, now: datetime) -> int:
    """Return what such a test has to leave of the month's budget: half of an even share of the time to come."""
    first, end = midnight(month_of(now)), month_end(month_of(now))
    return int(allowance.monthly_bytes * KEPT_SHARE * ((end - now) / (end - first)))
