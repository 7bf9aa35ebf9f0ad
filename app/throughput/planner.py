"""Read which sites are speed-tested and what each may spend; find the tests that fall due. Plans are not stored."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.periods import first_of_next_month
from app.profiles import Profile, Technology
from app.throughput.budget import (
    DOWN_SHARE,
    MB,
    SLACK_BYTES,
    UP_SLACK_BYTES,
    Allowance,
    MonthPlan,
    month_of,
    plan_month,
)
from app.throughput.models import Mode

SITES = text("""
    SELECT s.id, s.technology, s.provider_id, s.parent_id, s.village_code, s.probe, s.speed_url, s.speed_budget_mb,
        c.started_at AS setup_at
    FROM site s JOIN site_configuration c ON c.site_id = s.id AND c.ended_at IS NULL
    WHERE s.lifecycle = 'active' AND (s.probe = 'push' OR s.speed_url IS NOT NULL)
""")


@dataclass(frozen=True, slots=True)
class SpeedtestSite:
    """A site whose speed is tested."""

    id: int
    mode: Mode
    technology: Technology
    provider_id: int
    parent_id: int | None
    village_code: str
    speed_url: str | None
    setup_at: datetime
    allowance: Allowance

    @property
    def down_bytes(self) -> int:
        """Return the bytes to download: the maximum cost less what either direction may exceed its limit by."""
        if self.mode is Mode.PULL:
            return self.allowance.test_bytes - SLACK_BYTES
        return int((self.allowance.test_bytes - SLACK_BYTES - UP_SLACK_BYTES) * DOWN_SHARE)

    @property
    def up_bytes(self) -> int:
        if self.mode is Mode.PULL:
            return 0
        return self.allowance.test_bytes - SLACK_BYTES - UP_SLACK_BYTES - self.down_bytes


def allowance(profile: Profile, budget_mb: int | None, *, pushes: bool) -> Allowance:
    return Allowance(
        (profile.speed_monthly_mb if budget_mb is None else budget_mb) * MB,
        profile.speed_max_mb * MB,
        int(profile.speed_spacing_h * 3600),
        profile.speed_hours,
        profile.speed_max_s,
        profile.send_every_s if pushes else None,
    )


async def list_speedtest_sites(session: AsyncSession, profiles: Mapping[Technology, Profile]) -> list[SpeedtestSite]:
    return [_site(row, profiles[Technology(row.technology)]) for row in await session.execute(SITES)]


def _site(row: Any, profile: Profile) -> SpeedtestSite:
    mode = Mode.PUSH if row.probe == "push" else Mode.PULL
    return SpeedtestSite(
        row.id,
        mode,
        Technology(row.technology),
        row.provider_id,
        row.parent_id,
        row.village_code,
        row.speed_url,
        row.setup_at,
        allowance(profile, row.speed_budget_mb, pushes=mode is Mode.PUSH),
    )


@dataclass(slots=True)
class Plans:
    """Month plans of all sites, built on first use and kept for the current and the previous month."""

    sites: Mapping[int, SpeedtestSite]
    _months: dict[date, dict[int, tuple[MonthPlan, list[datetime]]]] = field(default_factory=dict)

    def due(self, after: datetime, until: datetime) -> Iterator[tuple[SpeedtestSite, MonthPlan, datetime]]:
        """Yield tests planned in (after, until]; none from before the site's current configuration."""
        month = month_of(after)
        while month <= month_of(until):
            for site_id, (plan, moments) in self._month(month).items():
                site = self.sites[site_id]
                first = bisect_right(moments, max(after, site.setup_at))
                yield from ((site, plan, moment) for moment in moments[first : bisect_right(moments, until)])
            month = first_of_next_month(month)

    def _month(self, month: date) -> dict[int, tuple[MonthPlan, list[datetime]]]:
        if month not in self._months:
            self._months = {key: plans for key, plans in self._months.items() if key >= _previous(month)}
            plans = {site.id: plan_month(site.allowance, month, site.id) for site in self.sites.values()}
            self._months[month] = {site_id: (plan, plan.moments) for site_id, plan in plans.items()}
        return self._months[month]


def _previous(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def plans_of(sites: Sequence[SpeedtestSite]) -> Plans:
    return Plans({site.id: site for site in sites})
