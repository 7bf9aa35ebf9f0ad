"""Read which sites are speed-tested, and what each may spend."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.profiles import Profile, Technology
from app.throughput.budget import (
    DOWN_SHARE,
    MB,
    SLACK_BYTES,
    UP_SLACK_BYTES,
    Allowance,
)
from app.throughput.models import Mode

TESTED = "(s.lifecycle = 'active' AND (s.probe = 'push' OR s.speed_url IS NOT NULL))"
SITES = text(f"""
    SELECT s.id, s.technology, s.provider_id, s.parent_id, s.village_code, s.probe, s.speed_url, s.speed_budget_mb,
        c.started_at AS setup_at, {TESTED} AS is_tested
    FROM site s JOIN site_configuration c ON c.site_id = s.id AND c.ended_at IS NULL
    WHERE s.version > :seen AND ({TESTED} OR cast(:seen AS bigint) >= 0)
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


@lru_cache(1_000)
def allowance(profile: Profile, budget_mb: int | None, *, pushes: bool) -> Allowance:
    monthly_bytes = (profile.speed_monthly_mb if budget_mb is None else budget_mb) * MB
    return Allowance(
        monthly_bytes,
        profile.speed_max_mb * MB,
        int(profile.speed_spacing_h * 3600),
        profile.speed_hours,
        profile.speed_max_s,
        profile.send_every_s if pushes else None,
        monthly_bytes * profile.visit_share_pct // 100,
    )


async def list_speedtest_sites(session: AsyncSession, profiles: Mapping[Technology, Profile]) -> list[SpeedtestSite]:
    sites = (await list_changed_sites(session, profiles, seen=-1)).values()
    return [site for site in sites if site is not None]


async def list_changed_sites(
    session: AsyncSession, profiles: Mapping[Technology, Profile], *, seen: int
) -> dict[int, SpeedtestSite | None]:
    """Return the sites changed since version `seen` of the registry by id, None for one whose speed is not tested."""
    rows = await session.execute(SITES, {"seen": seen})
    return {row.id: _site(row, profiles[Technology(row.technology)]) if row.is_tested else None for row in rows}


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
