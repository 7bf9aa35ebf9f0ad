"""Which sites are measured, what each may spend, and which moments fall due. Plans are made anew from the registry."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA
from app.core.periods import first_of_next
from app.profiles import Profile, Technology
from app.throughput.budget import DOWN_SHARE, MB, SLACK_BYTES, UP_SLACK_BYTES, Allowance, Plan, plan
from app.throughput.models import Mode

SITES = text("""
    SELECT s.id, s.technology, s.provider_id, s.parent_id, s.village_code, s.probe, s.speed_url, s.speed_budget_mb,
        c.started_at AS setup_at
    FROM site s JOIN site_configuration c ON c.site_id = s.id AND c.ended_at IS NULL
    WHERE s.lifecycle = 'active' AND (s.probe = 'push' OR s.speed_url IS NOT NULL)
""")


@dataclass(frozen=True, slots=True)
class Measured:
    """A site whose speed is measured."""

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
        """What it may download, and upload: by so much less than a test may cost as either may pass its limit."""
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


async def list_measured(session: AsyncSession, profiles: Mapping[Technology, Profile]) -> list[Measured]:
    return [_measured(row, profiles[Technology(row.technology)]) for row in await session.execute(SITES)]


def _measured(row: Any, profile: Profile) -> Measured:
    mode = Mode.PUSH if row.probe == "push" else Mode.PULL
    return Measured(
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
    """The plans of this month and the last, made when they are first asked for."""

    sites: Mapping[int, Measured]
    _months: dict[date, dict[int, tuple[Plan, list[datetime]]]] = field(default_factory=dict)

    def due(self, after: datetime, until: datetime) -> Iterator[tuple[Measured, Plan, datetime]]:
        """Moments after one and until another; a site has none before it was set up as it is."""
        month = _month(after)
        while month <= _month(until):
            for site_id, (found, moments) in self._of(month).items():
                site = self.sites[site_id]
                first = bisect_right(moments, max(after, site.setup_at))
                yield from ((site, found, moment) for moment in moments[first : bisect_right(moments, until)])
            month = first_of_next(month)

    def _of(self, month: date) -> dict[int, tuple[Plan, list[datetime]]]:
        if month not in self._months:
            self._months = {known: plans for known, plans in self._months.items() if known >= _before(month)}
            made = {site.id: plan(site.allowance, month, site.id) for site in self.sites.values()}
            self._months[month] = {site_id: (one, one.moments) for site_id, one in made.items()}
        return self._months[month]


def _month(moment: datetime) -> date:
    return moment.astimezone(WITA).date().replace(day=1)


def _before(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def plans_of(sites: Sequence[Measured]) -> Plans:
    return Plans({site.id: site for site in sites})
